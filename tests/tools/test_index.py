"""index and inspect."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from gpu_pack.errors import OutputExistsError, SourceError, UsageError
from gpu_pack.recordio import frame, frame_image
from gpu_pack.tools.index import index
from gpu_pack.tools.inspect import inspect
from gpu_pack.tools.verify import verify
from tests.tools.datasets import offsets


def test_the_index_is_creates_own_byte_for_byte(dataset: Path) -> None:
    files = sorted(dataset.glob("*.rec"))
    before = [path.with_suffix(".idx").read_bytes() for path in files]
    for path in files:
        path.with_suffix(".idx").unlink()
    assert all(result.ok for result in index(files))
    assert [path.with_suffix(".idx").read_bytes() for path in files] == before
    assert verify(dataset).ok


def test_a_published_datasets_index_gets_the_ids_again(dataset: Path) -> None:
    idx = dataset / "train-00000-of-00002.idx"
    before = idx.read_text()
    lines = before.splitlines(keepends=True)
    idx.write_text("".join(["777\t" + lines[0].split("\t")[1], *lines[1:]]), newline="\n")
    assert index(idx.with_suffix(".rec"), overwrite=True)[0].ok
    assert idx.read_text() == before


def test_rekey_numbers_from_0_whatever_the_records_are(record: Path) -> None:
    record.write_bytes(record.read_bytes() + frame(b"no image"))
    (result,) = index(record, rekey=True)
    assert result.ok
    lines = record.with_suffix(".idx").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines] == [str(number) for number in range(7)]


def test_an_index_that_is_there_stays_unless_it_is_to_be_replaced(dataset: Path, record: Path) -> None:
    record.with_suffix(".idx").write_text("mine")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        index(record)
    assert record.with_suffix(".idx").read_text() == "mine"
    index(record, overwrite=True)
    assert record.with_suffix(".idx").read_bytes() == (dataset / "train-00000-of-00002.idx").read_bytes()
    assert sorted(path.name for path in record.parent.iterdir()) == ["some.idx", "some.rec"]


def test_what_is_whole_of_a_file_cut_short_is_indexed_and_no_data_given_up(record: Path) -> None:
    begins = offsets(record)
    record.write_bytes(record.read_bytes()[:-10])
    (result,) = index(record)
    assert not result.ok and result.records == len(begins) - 1
    assert result.faults[0].offset == begins[-1]
    assert "fetch the file again" in result.faults[0].what and "truncate" not in result.faults[0].what
    assert len(record.with_suffix(".idx").read_text().splitlines()) == len(begins) - 1


def test_damage_in_the_middle_is_skipped(record: Path) -> None:
    begins = offsets(record)
    data = bytearray(record.read_bytes())
    data[begins[1]] ^= 0xFF
    record.write_bytes(data)
    (result,) = index(record)
    assert [(fault.offset, fault.key) for fault in result.faults] == [(begins[1], None)]
    lost = f"{begins[2] - begins[1]:,} bytes from there on"
    assert result.written and result.records == len(begins) - 1 and lost in result.faults[0].what


def test_what_is_no_rec_is_wrong_usage_and_what_is_not_there_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"not a \.rec file"):
        index([tmp_path / "x.idx"])
    with pytest.raises(SourceError, match="no such file"):
        index([tmp_path / "x.rec"])


# ---- inspect


def test_inspect_tells_what_is_there(dataset: Path) -> None:
    result = inspect(dataset, first=3)
    assert result.ok and result.records == 16 and len(result.first) == 3
    assert result.splits == {"train": 13, "validation": 3}
    assert result.labels == {"0": 8, "1": 8}
    assert result.classes == ["class 0", "class 1"]
    assert (result.formats, result.sizes) == ({"jpeg": 16}, {"24x24": 16})
    assert (result.first[0].width, result.first[0].height) == (24, 24)
    assert result.options["size"] == 24 and result.rejected == 1
    assert json.loads(json.dumps(result.to_json()))["records"] == 16


def test_inspect_options_are_checked_and_a_path_must_exist(dataset: Path) -> None:
    with pytest.raises(UsageError, match="first=-1"):
        inspect(dataset, first=-1)
    with pytest.raises(SourceError, match="no such file"):
        inspect(dataset / "nowhere.rec")


def test_inspect_takes_any_record_file(record: Path) -> None:
    record.write_bytes(
        frame_image(5, (0.5, 2.0), b"no picture")
        + frame(struct.pack("<IfQQ", 0, float("nan"), 6, 0))
        + b"junk and more"
    )
    result = inspect(record)
    assert [(shown.key, shown.labels, shown.format, shown.metadata) for shown in result.first] == [
        (5, [0.5, 2.0], None, False),
        (6, [None], None, True),
    ]
    assert (result.records, result.metadata, result.label_counts) == (1, 1, {2: 1})
    assert result.fault_count == 1
    json.dumps(result.to_json(), allow_nan=False)
