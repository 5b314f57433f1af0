"""Files that become records as they are: in order, framed as MXNet frames them, through buffers of any size."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

import gpu_pack
from gpu_pack import recordio
from gpu_pack.errors import OutputError
from gpu_pack.pipeline import pass_through
from gpu_pack.pipeline.pass_through import FilePasser
from gpu_pack.stores import local
from gpu_pack.types import Entry, Framed, Rejected, TransformSpec
from tests.folders import write_picture

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


def _taken(
    root: Path, entries: Iterable[Entry], spec: TransformSpec = _SPEC, threads: int = 2
) -> tuple[list[tuple[int, bytes]], list[Rejected]]:
    """Every record as ``(key, bytes)`` and every reject; each buffer is spoilt once it has been followed."""
    records: list[tuple[int, bytes]] = []
    rejected: list[Rejected] = []
    followed: list[int] = []

    def append(framed: Framed) -> None:
        joined = b"".join(framed.pieces)
        assert len(joined) == sum(framed.lengths)
        for key, length in zip(framed.keys, framed.lengths, strict=True):
            records.append((key, joined[:length]))
            joined = joined[length:]
        rejected.extend(framed.rejected)

    def follow(framed: Framed) -> None:
        joined = b"".join(framed.pieces)
        assert joined == b"".join(data for key, data in records if key in framed.keys)
        followed.extend(framed.keys)
        for piece in framed.pieces:
            if isinstance(piece, memoryview):
                piece[:] = b"\xff" * len(piece)

    with closing(FilePasser(str(root), spec, threads)) as passer:
        passed = list(passer.run(entries, append, follow))
    assert [key for key, _ in records] == followed == [key for framed in passed for key in framed.keys]
    assert not any(framed.pieces for framed in passed)
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
    monkeypatch.setattr(pass_through, "BUFFER_BYTES", size)
    entries = _folder(tmp_path, 60)
    records, rejected = _taken(tmp_path, entries, threads=threads)
    assert records == _expected(tmp_path, entries)
    assert rejected == []


def test_where_the_system_reads_into_no_buffer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has no readv."""
    monkeypatch.setattr(local, "_read_into", local._read_and_copy)
    entries = _folder(tmp_path, 20)
    assert _taken(tmp_path, entries) == (_expected(tmp_path, entries), [])


def test_many_labels_and_full_buffers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads larger than what was reckoned for them: what does not fit any more lies beside the buffer."""
    monkeypatch.setattr(pass_through, "BUFFER_BYTES", 20_000)
    entries = [
        entry._replace(labels=tuple(float(label) for label in range(1 + 400 * (entry.key % 3))))
        for entry in _folder(tmp_path, 60)
    ]
    assert _taken(tmp_path, entries) == (_expected(tmp_path, entries), [])


def test_list_after_list(tmp_path: Path) -> None:
    entries = _folder(tmp_path, 9)
    keys: list[int] = []
    with closing(FilePasser(str(tmp_path), _SPEC)) as passer:
        for part in (entries[:4], [], entries[4:]):
            for framed in passer.run(part, lambda framed: keys.extend(framed.keys), lambda framed: None):
                assert framed.keys == [entry.key for entry in part]
    assert keys == list(range(9))


@pytest.mark.parametrize("step", ["append", "follow"])
def test_an_error_ends_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """The first one is raised, nothing comes after it, and no thread is left waiting for its turn."""
    monkeypatch.setattr(pass_through, "_BUFFER_FILES", 2)
    entries = _folder(tmp_path, 40)
    keys: dict[str, list[int]] = {"append": [], "follow": []}

    def note(name: str, framed: Framed) -> None:
        if name == step and 10 in framed.keys:
            raise OutputError(f"no {name}")
        keys[name] += framed.keys

    with closing(FilePasser(str(tmp_path), _SPEC, threads=3)) as passer:
        with pytest.raises(OutputError, match=f"no {step}"):
            list(passer.run(entries, partial(note, "append"), partial(note, "follow")))
        # New turns on the same threads: they are free again.
        again = [key for framed in passer.run(entries, lambda framed: None, lambda framed: None) for key in framed.keys]
    assert keys[step] == list(range(10))
    assert again == list(range(40))


def test_who_stops_early_is_called_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pass_through, "_BUFFER_FILES", 1)
    entries = _folder(tmp_path, 40)
    calls: list[int] = []

    def append(framed: Framed) -> None:
        time.sleep(0.02)  # so that some are still to come
        calls.extend(framed.keys)

    with closing(FilePasser(str(tmp_path), _SPEC)) as passer:
        with closing(passer.run(entries, append, lambda framed: None)) as passed:
            next(passed)
        stopped = len(calls)
        time.sleep(0.2)
    assert 1 <= stopped == len(calls) < 40


def test_bad_files_cost_only_themselves(tmp_path: Path) -> None:
    entries = _folder(tmp_path, 12)
    (tmp_path / "0.jpg").unlink()
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:-20])
    (tmp_path / "4.jpg").write_bytes(b"")
    (tmp_path / "11.png").write_bytes(b"<html>")
    large = [Entry(12, (0.0,), "10.jpg", None), Entry(13, (float("nan"),), "9.png", None)]
    entries = [entry._replace(size=None) for entry in entries] + large
    records, rejected = _taken(tmp_path, entries, TransformSpec(pass_through=True, max_pixels=80 * 30))
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
    records, rejected = _taken(tmp_path, entries)
    assert [key for key, _ in records] == [0, 2]
    assert [(each.stage, "bytes when listed" in each.reason) for each in rejected] == [("read", True)]


@pytest.mark.parametrize("size", [2_000, 4 << 20])
def test_magic_numbers_split_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(pass_through, "BUFFER_BYTES", size)
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
    records, rejected = _taken(tmp_path, entries)
    assert rejected == []
    assert records == _expected(tmp_path, entries)


def test_no_more_threads_than_read_at_a_time(tmp_path: Path) -> None:
    """Each has a buffer of several mebibytes."""
    _folder(tmp_path / "in", 4)
    options = gpu_pack.CreateOptions(_SPEC, device=gpu_pack.DeviceOptions("cpu", workers=64))
    report = gpu_pack.create(tmp_path / "in", tmp_path / "out", options)
    assert (report.packed, report.workers) == (4, 16)
