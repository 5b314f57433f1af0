"""Datasets that lie in a bucket already: S3 copies them, and their images do not pass through this machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gpu_pack.cli.main import run
from gpu_pack.errors import GpuPackError, OutputError, OutputExistsError, SourceError
from gpu_pack.sagemaker.bucket import Bucket, Mark, Place
from gpu_pack.sagemaker.options import JobOptions
from gpu_pack.sagemaker.upload import UploadReport, upload
from gpu_pack.stores.address import parse_address
from tests.sagemaker.datasets import BUCKET, pack
from tests.stores.faulty_proxy import proxy

pytest.importorskip("obstore")

URL = f"s3://{BUCKET}/birds/v1"
SOURCE = "s3://other-bucket/sets/out"
KEYS = ["birds/v1/classes.txt", "birds/v1/manifest.json", "birds/v1/sagemaker.json", "birds/v1/train/train.rec",
        "birds/v1/validation/val.rec"]  # fmt: skip


@pytest.fixture(scope="session")
def _large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pictures of `pictures`, each of 25 KB."""
    folder = tmp_path_factory.mktemp("large")
    random = np.random.default_rng(0)
    for number in range(72):
        path = folder / "source" / "abc"[number % 3] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".jpg", random.integers(0, 255, (150, 150, 3), np.uint8))[1].tobytes())
    return pack(folder / "source", folder / "out", size=150)


@pytest.fixture
def other(s3: Any) -> Any:
    """The client, for which there is another bucket too."""
    s3.create_bucket(Bucket="other-bucket")
    yield s3
    for item in s3.list_objects_v2(Bucket="other-bucket").get("Contents", ()):
        s3.delete_object(Bucket="other-bucket", Key=item["Key"])


def put(s3: Any, folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_file():
            s3.put_object(Bucket="other-bucket", Key=f"sets/out/{path.name}", Body=path.read_bytes())


def keys(s3: Any) -> list[str]:
    return [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", ())]


def plain(report: UploadReport) -> dict[str, Any]:
    found = report.to_json()
    return {name: found[name] for name in ("ok", "request", "images", "url", "warnings")}


def test_s3_copies_and_no_images_pass_through_here(_large: Path, other: Any, s3_server: str) -> None:
    put(other, _large)
    with proxy(s3_server) as counted:
        report = upload(SOURCE, URL, endpoint_url=counted.url)
        read = counted.bytes_of(".rec")
    sizes = {name: (_large / name).stat().st_size for name in ("train.rec", "val.rec")}
    assert read < 72 * 1100 < 0.1 * sum(sizes.values())
    copies = [each for each in counted.asked if each.copied]
    assert len(copies) == len(report.copied) == len(report.sent) == 4 and keys(other) == KEYS
    for key, name in zip(KEYS[3:], sizes, strict=True):
        found = other.get_object(Bucket=BUCKET, Key=key)
        assert found["Body"].read() == (_large / name).read_bytes()
        assert found["ContentType"] == "application/x-recordio"
    assert report.output == f"{URL}/sagemaker.json"
    stored = json.loads(other.get_object(Bucket=BUCKET, Key=KEYS[2])["Body"].read())
    local = upload(_large, URL, JobOptions(dry_run=True))
    assert plain(report) == plain(local) and stored == local.request


def test_a_second_run_copies_only_what_is_missing_or_new(dataset: Path, other: Any) -> None:
    put(other, dataset)
    assert len(upload(SOURCE, URL).copied) == 4
    other.delete_object(Bucket=BUCKET, Key=KEYS[3])
    report = upload(SOURCE, URL)
    assert report.copied == [f"s3://{BUCKET}/{KEYS[3]}"] and len(report.kept) == 3
    other.put_object(Bucket=BUCKET, Key=KEYS[3], Body=b"somebody's work")
    with pytest.raises(OutputExistsError, match="with other bytes"):
        upload(SOURCE, URL)
    assert len(upload(SOURCE, URL, JobOptions(overwrite=True)).copied) == 1


def test_the_same_rules_are_broken_as_locally(dataset: Path, pictures: Path, other: Any, tmp_path: Path) -> None:
    put(other, dataset)
    for options in (
        JobOptions(hyperparameters=(("mini_batch_size", "64"),), dry_run=True),
        JobOptions(hyperparameters=(("image_shape", "3,64,64"),), dry_run=True),
    ):
        there, here = upload(SOURCE, URL, options), upload(dataset, URL, options)
        assert there.faults == [fault.replace(str(dataset), SOURCE) for fault in here.faults] != []
    gray = pack(pictures, tmp_path / "as they are", pass_through=True)
    shutil.copytree(gray, dataset, dirs_exist_ok=True)
    put(other, dataset)
    there, here = upload(SOURCE, URL, JobOptions(dry_run=True)), upload(dataset, URL, JobOptions(dry_run=True))
    assert there.faults == [fault.replace(str(dataset), SOURCE) for fault in here.faults] != []
    assert keys(other) == []


def test_damage_is_refused(dataset: Path, other: Any) -> None:
    put(other, dataset)
    data = (dataset / "train.rec").read_bytes()
    other.put_object(Bucket="other-bucket", Key="sets/out/train.rec", Body=data[:-8])
    report = upload(SOURCE, URL)
    assert "bytes are not those that were published" in " ".join(report.faults)
    assert f"{SOURCE}/train.rec: at byte" in report.faults[0] and "cut short" in report.faults[0]
    other.put_object(Bucket="other-bucket", Key="sets/out/train.rec", Body=data)
    other.delete_object(Bucket="other-bucket", Key="sets/out/train.idx")
    (fault,) = upload(SOURCE, URL).faults
    assert fault == (
        f"{SOURCE}/train.rec: there is no index, by which its records are checked where they are: see `gpu-pack index`"
    )
    other.delete_object(Bucket="other-bucket", Key="sets/out/train.rec")
    with pytest.raises(SourceError, match=f"{SOURCE}/train.rec: cannot be read: No such file or directory"):
        upload(SOURCE, URL)


def test_a_source_for_each_channel(dataset: Path, other: Any, capsys: pytest.CaptureFixture[str]) -> None:
    put(other, dataset)
    sources = ["--train-from", f"{SOURCE}/train.rec", "--validation-from", str(dataset / "val.rec")]
    assert run(["sagemaker", *sources, URL, "--output", str(dataset / "job.json"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert len(report["copied"]) == 3 and len(report["sent"]) == 5
    assert (dataset / "job.json").exists()
    with pytest.raises(GpuPackError, match="would be both channels"):
        run(["sagemaker", "--train-from", f"{SOURCE}/val.rec", "--validation-from", f"{SOURCE}/val.rec", URL])
    with pytest.raises(SourceError, match=r"gs://bucket/out: only S3 copies to S3 by itself"):
        run(["sagemaker", "gs://bucket/out", URL])


def test_another_region_is_said(dataset: Path, s3: Any) -> None:
    s3.create_bucket(Bucket="far-bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for path in dataset.iterdir():
        if path.is_file():
            s3.put_object(Bucket="far-bucket", Key=f"out/{path.name}", Body=path.read_bytes())
    (warning,) = upload("s3://far-bucket/out", URL).warnings
    assert warning["code"] == "other-region" and "far-bucket in eu-west-1" in warning["message"]


def test_a_large_object_is_copied_in_parts_and_one_that_changed_is_not(other: Any) -> None:
    body = bytes(range(256)) * (60 << 10)
    etag = other.put_object(Bucket="other-bucket", Key="big", Body=body)["ETag"]
    bucket = Bucket(Place(BUCKET, "x"), copy_bytes=6 << 20)
    sent: list[int] = []
    source = parse_address("s3://other-bucket/big")
    bucket.copy(source, "x/big", Mark("copied-etag", etag), "text/plain", sent.append)
    found = other.get_object(Bucket=BUCKET, Key="x/big")
    assert found["Body"].read() == body and found["ETag"].endswith('-3"') and sum(sent) == len(body)
    assert bucket.holds("x/big", len(body), Mark("copied-etag", etag)) is True
    assert bucket.holds("x/big", len(body), Mark("copied-etag", "another")) is False
    other.put_object(Bucket="other-bucket", Key="big", Body=b"new")
    with pytest.raises(OutputError, match="s3://other-bucket/big: it changed after it was checked"):
        bucket.copy(source, "x/big", Mark("copied-etag", etag), "text/plain", sent.append)
    bucket.close()
