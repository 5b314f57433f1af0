"""RecordDataset on .rec files that others wrote."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from gpu_pack.dataset import RecordDataset
from gpu_pack.errors import FormatError
from tests.tools.datasets import gray_square, smooth_jpeg
from tests.tools.foreign_records import PICTURES, insightface, joined, protobuf, without_ids, write_rec


def test_keys_come_from_the_index(tmp_path: Path) -> None:
    dataset = RecordDataset(without_ids(tmp_path / "train.rec"), decode=False)
    assert dataset.keys.tolist() == list(range(10, 16))
    assert [image for image, _ in dataset] == [smooth_jpeg(number) for number in range(6)]
    assert (dataset.notes, dataset.warnings) == ([], [])


def test_without_an_index_repeated_ids_give_way_to_positions(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="gpu_pack"):
        dataset = RecordDataset(joined(tmp_path / "train.rec"))
    assert len(dataset) == 6 and dataset.keys.tolist() == list(range(6))
    assert [(warning["code"], warning["count"]) for warning in dataset.warnings] == [("repeated-keys", 3)]
    assert "id of an earlier one" in caplog.text


def test_an_index_with_double_keys_loses_no_record(tmp_path: Path) -> None:
    rec = joined(tmp_path / "train.rec")
    rec.with_suffix(".idx").write_text("0\t0\n0\t4\n")
    assert len(RecordDataset(rec)) == 6


@pytest.mark.parametrize("indexed", [True, False])
def test_records_without_a_picture_are_left_out(tmp_path: Path, indexed: bool) -> None:
    rec = insightface(tmp_path / "train.rec")
    if not indexed:
        rec.with_suffix(".idx").unlink()
    dataset = RecordDataset(rec)
    assert len(dataset) == PICTURES and dataset.keys.tolist() == list(range(1, 7))
    assert dataset.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert [image.shape for image, _ in dataset] == [(30, 40, 3)] * PICTURES
    assert [(note["code"], note["count"]) for note in dataset.notes] == [("metadata-records", 4)]


def test_metadata_may_be_all_there_is(tmp_path: Path) -> None:
    assert len(RecordDataset(write_rec(tmp_path / "a.rec", [(0, 0, [1.0] * 2000, b"")]))) == 0


def test_keys_that_are_no_numbers_leave_the_ids(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", ((key, key + 5, 0, gray_square()) for key in range(2)))
    text = rec.with_suffix(".idx").read_text()
    rec.with_suffix(".idx").write_text("".join(f"name-{line}\n" for line in text.splitlines()))
    assert RecordDataset(rec).keys.tolist() == [5, 6]


def test_an_empty_index_beside_records_is_an_error(tmp_path: Path) -> None:
    rec = without_ids(tmp_path / "train.rec")
    rec.with_suffix(".idx").write_bytes(b"")
    with pytest.raises(FormatError, match="it is empty") as caught:
        RecordDataset(rec)
    assert caught.value.path == str(rec.with_suffix(".idx"))
    rec.write_bytes(b"")
    assert len(RecordDataset(rec)) == 0


@pytest.mark.parametrize("indexed", [True, False])
def test_other_files_are_named(tmp_path: Path, indexed: bool) -> None:
    rec = tmp_path / "train.rec"
    if indexed:
        rec.with_suffix(".idx").write_text("0\t0\n1\t400\n")
    rec.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(FormatError, match="a Git LFS pointer"):
        RecordDataset(rec)
    with pytest.raises(FormatError, match="protobuf RecordIO"):
        RecordDataset(protobuf(rec))


def test_joined_files_beside_the_first_ones_index_are_read_whole(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "train.rec", ((key, key, key, smooth_jpeg(key)) for key in range(3)))
    rec.write_bytes(rec.read_bytes() * 2)
    dataset = RecordDataset(rec)
    assert [dataset[place][1] for place in range(len(dataset))] == [0, 1, 2, 0, 1, 2]
    assert [warning["code"] for warning in dataset.warnings] == ["repeated-keys"]


def test_an_index_of_chosen_records_chooses(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "train.rec", ((key, key, key, smooth_jpeg(key)) for key in range(6)))
    lines = rec.with_suffix(".idx").read_text().splitlines(keepends=True)
    rec.with_suffix(".idx").write_text("".join(lines[1::2][:2]))
    assert [label for _, label in map(RecordDataset(rec).__getitem__, range(2))] == [1, 3]
