"""What is found in a channel's file that others wrote."""

from __future__ import annotations

from pathlib import Path

from gpu_pack.sagemaker.options import JobOptions
from gpu_pack.sagemaker.survey import survey
from gpu_pack.sagemaker.upload import upload
from tests.tools.foreign_records import PICTURES, insightface, joined, protobuf, without_ids


def test_records_without_a_picture_are_counted_apart(tmp_path: Path) -> None:
    found = survey(insightface(tmp_path / "train.rec"), 20, 20, lambda count: None)
    assert (found.images, found.metadata, found.metadata_key) == (PICTURES, 4, 0)
    assert found.labels == {0: 2, 1: 2, 2: 2} and not found.several


def test_keys_come_from_the_index(tmp_path: Path) -> None:
    found = survey(without_ids(tmp_path / "train.rec"), 300, 300, lambda count: None)
    assert found.first_keys == {"jpeg": 10} and found.smallest == (10, 40, 30)


def test_ids_that_repeat_are_a_warning(tmp_path: Path) -> None:
    found = survey(joined(tmp_path / "train.rec"), 20, 20, lambda count: None)
    assert found.images == 6 and [notice.code for notice in found.notices] == ["repeated-keys"]


def test_protobuf_is_named(tmp_path: Path) -> None:
    (damage,) = survey(protobuf(tmp_path / "train.rec"), 20, 20, lambda count: None).damage
    assert damage.startswith("SageMaker's protobuf RecordIO")


def test_a_channel_takes_pictures_only(dataset: Path) -> None:
    insightface(dataset / "train.rec")
    faults = upload(dataset, "s3://some-bucket", JobOptions(dry_run=True)).faults
    assert any("4 records without a picture" in fault and "the first of them key 0" in fault for fault in faults)


def test_an_upload_reports_warnings(dataset: Path) -> None:
    joined(dataset / "train.rec")
    report = upload(dataset, "s3://some-bucket", JobOptions(dry_run=True))
    assert [warning["code"] for warning in report.to_json()["warnings"]] == ["repeated-keys"]


def test_an_empty_index_beside_records_is_a_broken_rule(dataset: Path, tmp_path: Path) -> None:
    rec = without_ids(tmp_path / "train.rec")
    rec.with_suffix(".idx").write_bytes(b"")
    options = JobOptions(dry_run=True, train_from=rec, validation_from=dataset / "val.rec")
    assert any("train.idx" in fault and "it is empty" in fault for fault in upload(None, "s3://bucket", options).faults)
