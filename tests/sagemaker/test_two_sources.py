"""A source for each channel: published folders with one split, and .rec files without a manifest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import gpu_pack
from gpu_pack.cli.main import run
from gpu_pack.errors import GpuPackError, SourceError, UsageError
from gpu_pack.sagemaker.options import JobOptions
from gpu_pack.sagemaker.upload import UploadReport, upload
from tests.sagemaker.datasets import BUCKET, SIZE

URL = f"s3://{BUCKET}/birds"
SMALL = (("image_shape", f"3,{SIZE},{SIZE}"),)


@pytest.fixture
def published(pictures: Path, tmp_path: Path) -> Path:
    """All pictures in one split."""
    gpu_pack.create(pictures, tmp_path / "published", size=SIZE, device="cpu", workers=1)
    return tmp_path / "published"


@pytest.fixture
def bare(dataset: Path, tmp_path: Path) -> Path:
    """A .rec with an .idx and nothing else beside it."""
    (tmp_path / "bare").mkdir()
    for suffix in (".rec", ".idx"):
        shutil.copy(dataset / f"val{suffix}", tmp_path / "bare" / f"my{suffix}")
    return tmp_path / "bare" / "my.rec"


def job(train: Path, validation: Path | None, **options: Any) -> UploadReport:
    options = {"dry_run": True, "hyperparameters": SMALL, **options}
    return upload(None, URL, JobOptions(train_from=train, validation_from=validation, **options))


def refused(train: Path, validation: Path | None, kind: type[GpuPackError] = SourceError) -> str:
    with pytest.raises(kind) as caught:
        job(train, validation)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_published_folder_and_a_bare_file(published: Path, bare: Path, s3: Any) -> None:
    assert run(["sagemaker", URL, "--train-from", str(published), "--validation-from", str(bare), "--quiet"]) == 0
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert keys == ["birds/classes.txt", "birds/manifest.json", "birds/train/train.rec", "birds/validation/my.rec"]
    request = json.loads((published / "sagemaker.json").read_text())["HyperParameters"]
    assert (request["num_classes"], request["num_training_samples"]) == ("3", "72")
    assert request["image_shape"] == f"3,{SIZE},{SIZE}"


def test_two_published_folders_and_a_file_for_the_request(
    published: Path, pictures: Path, tmp_path: Path, s3: Any
) -> None:
    names, second, request = published / "classes.txt", tmp_path / "second", tmp_path / "request.json"
    gpu_pack.create(pictures, second, size=SIZE, device="cpu", workers=1, classes=names, splits="validation=0.5")
    report = job(published, second, dry_run=False, output=request)
    assert report.ok and report.images == {"train": 72, "validation": 36}
    assert json.loads(request.read_text()) == report.request and report.output == str(request)
    assert not (published / "sagemaker.json").exists()
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert "birds/manifest.json" in keys and "birds/validation-manifest.json" in keys


def test_bare_files_are_checked_by_their_records(bare: Path, dataset: Path, tmp_path: Path) -> None:
    other = Path(shutil.copy(dataset / "train.rec", tmp_path / "other.rec"))
    report = job(bare, other)
    assert report.ok and report.images == {"train": 32, "validation": 40}
    assert report.request["HyperParameters"]["num_classes"] == "3"
    assert report.output == str(bare.with_name("sagemaker.json"))
    faults = job(bare, other, hyperparameters=()).faults
    assert len(faults) == 2 and "smaller than 224 x 224 (image_shape): 32 of 32 images" in faults[0]
    other.write_bytes(other.read_bytes()[:-100])
    assert any(str(other) in fault for fault in job(bare, other).faults)


def test_the_validation_set_beside_a_published_folder(dataset: Path, bare: Path, s3: Any) -> None:
    report = upload(dataset, URL, JobOptions(validation_from=bare, dry_run=True))
    assert report.ok and report.images == {"train": 40, "validation": 32}


def test_different_classes_are_refused(published: Path, pictures: Path, tmp_path: Path) -> None:
    names = tmp_path / "classes.txt"
    names.write_text("b\na\nc\n")
    gpu_pack.create(pictures, tmp_path / "second", size=SIZE, device="cpu", workers=1, classes=names)
    sentence = refused(published, tmp_path / "second")
    assert "different classes: label 0 is a in the one and b in the other" in sentence
    assert f"--classes {published / 'classes.txt'}" in sentence


def test_sources_that_cannot_be_channels(published: Path, dataset: Path, bare: Path, tmp_path: Path) -> None:
    missing = refused(published, None)
    assert "`gpu-pack create SOURCE OUT --split train=0.9 --split validation=0.1`" in missing
    assert "--train-from takes one split, and it has train, val" in refused(dataset, published)
    assert "would be both channels" in refused(bare, bare, UsageError)
    assert "name the .rec file in it" in refused(bare.parent, published)
    assert "no such file or folder" in refused(published, tmp_path / "nowhere")
    shown = job(dataset / "train.rec", dataset / "val.rec")  # one of the splits, by its file
    assert shown.ok and shown.images == {"train": 40, "validation": 32}
