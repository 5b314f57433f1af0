"""Files that become records as they are: in order, framed as MXNet frames them, through buffers of any size."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from gpu_pack import passing, recordio
from gpu_pack.interface import Entry, Framed, Rejected, TransformSpec
from gpu_pack.passing import frame_files
from tests.create.conftest import write_picture

_SPEC = TransformSpec(pass_through=True)
_MAGIC = recordio.MAGIC.to_bytes(4, "little")


def _folder(root: Path, count: int) -> list[Entry]:
    entries = []
    for number in range(count):
        path = root / f"{number}.{('jpg', 'png')[number % 2]}"
        write_picture(path, number, width=20 + 7 * number)
        labels = (float(number),) if number % 3 else (1.0, 2.0, float(number))
        entries.append(Entry(number, labels, path.name, path.stat().st_size))
    return entries


def _taken(framed: Iterable[Framed]) -> tuple[list[tuple[int, bytes]], list[Rejected]]:
    """Every record as ``(key, bytes)`` and every reject; each buffer is spoilt before it is given back."""
    records, rejected = [], []
    for each in framed:
        joined = b"".join(each.pieces)
        assert len(joined) == sum(each.lengths)
        for key, length in zip(each.keys, each.lengths, strict=True):
            records.append((key, joined[:length]))
            joined = joined[length:]
        rejected += each.rejected
        for piece in each.pieces:
            if isinstance(piece, memoryview):
                piece[:] = b"\xff" * len(piece)
        each.release()
    return records, rejected


def _expected(root: Path, entries: Iterable[Entry]) -> list[tuple[int, bytes]]:
    return [
        (entry.key, recordio.frame_image(entry.key, entry.labels, (root / entry.path).read_bytes()))
        for entry in entries
    ]


@pytest.mark.parametrize("size", [1, 3_000, 20_000, 4 << 20])
@pytest.mark.parametrize("threads", [1, 3])
def test_records_are_the_files_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, threads: int
) -> None:
    monkeypatch.setattr(passing, "SLAB_BYTES", size)
    entries = _folder(tmp_path, 60)
    records, rejected = _taken(frame_files([entries], str(tmp_path), _SPEC, threads=threads))
    assert records == _expected(tmp_path, entries)
    assert rejected == []


def test_lists_do_not_mix(tmp_path: Path) -> None:
    entries = _folder(tmp_path, 9)
    framed = list(frame_files([entries[:4], [], entries[4:]], str(tmp_path), _SPEC))
    assert [each.keys for each in framed] == [[0, 1, 2, 3], [4, 5, 6, 7, 8]]


def test_bad_files_cost_only_themselves(tmp_path: Path) -> None:
    entries = _folder(tmp_path, 12)
    (tmp_path / "0.jpg").unlink()
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:-20])
    (tmp_path / "4.jpg").write_bytes(b"")
    (tmp_path / "11.png").write_bytes(b"<html>")
    large = [Entry(12, (0.0,), "10.jpg", None), Entry(13, (float("nan"),), "9.png", None)]
    entries = [entry._replace(size=None) for entry in entries] + large
    records, rejected = _taken(frame_files([entries], str(tmp_path), TransformSpec(max_pixels=80 * 30)))
    assert {each.entry.key: each.reason for each in rejected} == {
        0: "no such file",
        3: rejected[1].reason,
        4: "the file is empty",
        9: "it holds 83 x 30 pixels, more than the 2400 allowed",
        10: "it holds 90 x 30 pixels, more than the 2400 allowed",
        11: rejected[5].reason,
        12: "it holds 90 x 30 pixels, more than the 2400 allowed",
        13: "it holds 83 x 30 pixels, more than the 2400 allowed",
    }
    assert "cut short" in rejected[1].reason and "HTML" in rejected[5].reason
    assert [key for key, _ in records] == [1, 2, 5, 6, 7, 8]
    assert records == _expected(tmp_path, [entries[key] for key, _ in records])


def test_a_file_that_grew_is_not_taken(tmp_path: Path) -> None:
    entries = _folder(tmp_path, 3)
    with (tmp_path / "1.png").open("ab") as file:
        file.write(b"more")
    records, rejected = _taken(frame_files([entries], str(tmp_path), _SPEC))
    assert [key for key, _ in records] == [0, 2]
    assert [(each.stage, "bytes when listed" in each.reason) for each in rejected] == [("read", True)]


@pytest.mark.parametrize("size", [2_000, 4 << 20])
def test_magic_numbers_split_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(passing, "SLAB_BYTES", size)
    entries = []
    for number in range(8):
        write_picture(tmp_path / f"{number}.jpg", number)
        data = (tmp_path / f"{number}.jpg").read_bytes()
        if number % 3 == 1:  # in a comment, at any alignment
            data = (
                data[:2] + b"\xff\xfe\x00\x40" + b"x" * (number % 4) + _MAGIC * 15 + b"x" * (2 - number % 4) + data[2:]
            )
        (tmp_path / f"{number}.jpg").write_bytes(data)
        entries.append(Entry(number, (0.0,), f"{number}.jpg", len(data)))
    records, rejected = _taken(frame_files([entries], str(tmp_path), _SPEC))
    assert rejected == []
    assert records == _expected(tmp_path, entries)
