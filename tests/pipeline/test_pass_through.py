"""Files that become records as they are: in order, framed as MXNet frames them; bad ones cost only themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

import gpu_pack
from gpu_pack import recordio
from gpu_pack.pipeline.pass_through import PassThroughWorker
from gpu_pack.stores.local import LocalStore
from gpu_pack.stores.reading_worker import ReadingWorker
from gpu_pack.types import Encoded, Entry, Outcome, Rejected, TransformSpec
from tests.folders import write_picture

_SPEC = TransformSpec(pass_through=True)
_MAGIC = recordio.MAGIC.to_bytes(4, "little")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "photos"


@pytest.fixture
def entries(source: Path) -> Sequence[Entry]:
    """Twelve pictures in a class of ``source``, 20 to 97 pixels wide."""
    found = []
    for number in range(12):
        path = source / f"in/{number:02d}.{('jpg', 'png')[number % 2]}"
        write_picture(path, number, width=20 + 7 * number)
        found.append(Entry(number, (0.0,), f"in/{path.name}", path.stat().st_size))
    return found


def passed(folder: Path, entries: Sequence[Entry], spec: TransformSpec = _SPEC) -> list[Outcome]:
    return ReadingWorker(PassThroughWorker(spec), LocalStore(str(folder))).transform(entries)


def test_files_stay_as_they_are(source: Path, entries: Sequence[Entry]) -> None:
    assert passed(source, entries) == [
        Encoded(entry, (source / entry.path).read_bytes(), 20 + 7 * entry.key, 30, "pass-through") for entry in entries
    ]


def test_bad_files_cost_only_themselves(source: Path, entries: Sequence[Entry]) -> None:
    (source / "in/00.jpg").unlink()
    (source / "in/03.png").write_bytes((source / "in/03.png").read_bytes()[:-20])
    (source / "in/04.jpg").write_bytes(b"")
    (source / "in/11.png").write_bytes(b"<html>")
    outcomes = passed(
        source, [entry._replace(size=None) for entry in entries], TransformSpec(pass_through=True, max_pixels=80 * 30)
    )
    rejected = {one.entry.key: one.reason for one in outcomes if isinstance(one, Rejected)}
    assert "cut short" in rejected.pop(3) and "HTML" in rejected.pop(11)
    assert rejected == {
        0: "no such file",
        4: "the file is empty",
        9: "it holds 83 x 30 pixels, more than the 2400 allowed",
        10: "it holds 90 x 30 pixels, more than the 2400 allowed",
    }
    assert [one.entry.key for one in outcomes] == list(range(12))


def test_a_file_that_grew_is_not_taken(source: Path, entries: Sequence[Entry]) -> None:
    with (source / "in/01.png").open("ab") as file:
        file.write(b"more")
    (outcome,) = passed(source, entries[1:2])
    assert isinstance(outcome, Rejected) and outcome.stage == "read"
    assert "bytes when listed" in outcome.reason


def test_a_dataset_of_files_as_they_are(tmp_path: Path, source: Path, entries: Sequence[Entry]) -> None:
    """Magic numbers split records; and each thread needs memory, so that there are at most sixteen."""
    path = source / "in/06.jpg"
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xfe\x00\x42xx" + _MAGIC * 15 + b"xx" + data[2:])  # in a comment
    options = gpu_pack.CreateOptions(_SPEC, device=gpu_pack.DeviceOptions("cpu", workers=64))
    report = gpu_pack.create(source, tmp_path / "out", options)
    assert (report.packed, report.workers) == (12, 16)
    lines = (tmp_path / "out/train.lst").read_text().splitlines()
    expected = b""
    for line in lines:
        key, label, name = line.split("\t")
        expected += recordio.frame_image(int(key), (float(label),), (source / name).read_bytes())
    assert len(lines) == 12
    assert (tmp_path / "out/train.rec").read_bytes() == expected
    assert expected.count(_MAGIC) > 12, "the record in parts"
