"""The command as a process against an S3 server: what lies in the bucket, what is sent again, what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sagemaker.conftest import BUCKET

URL = f"s3://{BUCKET}/birds/v1"
KEYS = ["birds/v1/classes.txt", "birds/v1/manifest.json", "birds/v1/train/train.rec", "birds/v1/validation/val.rec"]


def _run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "gpu_pack", "sagemaker", *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        env={**os.environ, "PYTHONUTF8": "1", **environment},
    )
    assert "Traceback" not in done.stderr
    return done


def _keys(s3: Any) -> list[str]:
    return [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", ())]


def test_the_channels_arrive_and_the_request_says_what_the_job_needs(dataset: Path, s3: Any) -> None:
    done = _run(dataset, URL, "-p", "epochs=10", "--hyperparameter", "use_pretrained_model=0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "train      s3://some-bucket/birds/v1/train/  40 images" in done.stdout
    assert "4 files" in done.stdout and str(dataset / "sagemaker.json") in done.stdout
    assert _keys(s3) == KEYS
    for key, name in zip(KEYS[2:], ("train.rec", "val.rec"), strict=True):
        found = s3.get_object(Bucket=BUCKET, Key=key)
        assert found["Body"].read() == (dataset / name).read_bytes()
        assert found["ContentType"] == "application/x-recordio"
    request = json.loads((dataset / "sagemaker.json").read_text())
    assert request["HyperParameters"] == {
        "epochs": "10",
        "use_pretrained_model": "0",
        "num_classes": "3",
        "num_training_samples": "40",
        "image_shape": "3,32,32",
        "mini_batch_size": "32",
    }
    assert [channel["ChannelName"] for channel in request["InputDataConfig"]] == ["train", "validation"]
    for channel, name in zip(request["InputDataConfig"], ("train", "validation"), strict=True):
        source = channel["DataSource"]["S3DataSource"]
        assert source["S3Uri"] == f"{URL}/{name}/"
        assert source["S3DataDistributionType"] == "FullyReplicated"
        assert channel["ContentType"] == "application/x-recordio"


def test_the_request_is_what_boto3_takes(dataset: Path, s3: Any) -> None:
    import botocore.session
    from botocore.validate import validate_parameters

    assert _run(dataset, URL).returncode == 0
    request = json.loads((dataset / "sagemaker.json").read_text())
    model = botocore.session.get_session().get_service_model("sagemaker").operation_model("CreateTrainingJob")
    shape = model.input_shape
    for name, value in request.items():
        validate_parameters(value, shape.members[name])


def test_a_second_run_sends_what_is_missing_only(dataset: Path, s3: Any) -> None:
    assert _run(dataset, URL).returncode == 0
    s3.delete_object(Bucket=BUCKET, Key=KEYS[3])
    done = _run(dataset, URL, "--json")
    assert done.returncode == 0
    job = json.loads(done.stdout)
    assert job["ok"] and job["sent"] == [f"s3://{BUCKET}/{KEYS[3]}"] and len(job["kept"]) == 3
    assert _keys(s3) == KEYS


def test_other_bytes_of_the_same_name_stay_unless_told(dataset: Path, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key=KEYS[2], Body=b"somebody's work")
    done = _run(dataset, URL)
    assert done.returncode == 1
    assert "is there already with other bytes" in done.stderr and "--overwrite" in done.stderr
    assert s3.get_object(Bucket=BUCKET, Key=KEYS[2])["Body"].read() == b"somebody's work"
    assert not (dataset / "sagemaker.json").exists()
    assert _run(dataset, URL, "--overwrite").returncode == 0
    assert s3.head_object(Bucket=BUCKET, Key=KEYS[2])["ContentLength"] == (dataset / "train.rec").stat().st_size


def test_a_stranger_in_a_channel_is_refused_even_with_overwrite(dataset: Path, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="birds/v1/validation/", Body=b"")  # a folder, to S3's console
    s3.put_object(Bucket=BUCKET, Key="birds/v1/validation/old.rec", Body=b"x")
    done = _run(dataset, URL, "--overwrite")
    assert done.returncode == 1
    assert "birds/v1/validation/old.rec, which the job would train on too" in done.stderr
    s3.delete_object(Bucket=BUCKET, Key="birds/v1/validation/old.rec")
    assert _run(dataset, URL).returncode == 0


def test_a_dry_run_touches_nothing_and_needs_no_network(dataset: Path, tmp_path: Path) -> None:
    done = _run(dataset, URL, "--dry-run", AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert done.returncode == 0
    assert "num_training_samples=40" in done.stdout and "nothing was uploaded" in done.stdout
    assert not (dataset / "sagemaker.json").exists()


def test_no_such_bucket_no_credentials_and_no_answer_are_a_sentence_each(dataset: Path, s3: Any) -> None:
    done = _run(dataset, "s3://another-bucket")
    assert done.returncode == 1
    assert (
        done.stderr == "gpu-pack: s3://another-bucket/: there is no bucket another-bucket: make it, or name another\n"
    )
    done = _run(dataset, URL, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert done.returncode == 1 and "no AWS credentials were found" in done.stderr
    done = _run(dataset, URL, AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1")
    assert done.returncode == 1
    assert "Could not connect to the endpoint URL" in done.stderr and len(done.stderr.splitlines()) == 1


def test_without_boto3_it_says_what_to_install(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "boto3.py").write_text("raise ImportError('No module named boto3')")
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    done = _run(dataset, URL, PYTHONPATH=path)
    assert done.returncode == 1
    assert "pip install boto3" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("birds",), "no S3 address"),
        (("s3://B/x",), "no S3 address"),
        (("s3://some-bucket/a//b",), "no empty parts"),
        ((URL, "-p", "epochs"), "write NAME=VALUE"),
        ((URL, "-p", "epoch=3"), "did you mean epochs?"),
        ((URL, "-p", "epochs=0"), "whole number from 1"),
        ((URL, "-p", "num_classes=4"), "counted from the records"),
        ((URL, "-p", "epochs=4", "-p", "epochs=5"), "given twice"),
        ((URL, "-p", "image_shape=224"), "as in 3,224,224"),
        ((URL, "-p", "use_pretrained_model=1", "-p", "image_shape=3,32,32"), "takes image_shape=3,224,224"),
        ((URL, "-p", "multi_label=1"), "augmented manifest"),
        ((URL, "--validation", "train"), "the channels must differ"),
    ],
)
def test_wrong_usage_is_a_sentence_and_status_2(arguments: tuple[str, ...], sentence: str, dataset: Path) -> None:
    done = _run(dataset, *arguments)
    assert done.returncode == 2 and sentence in done.stderr and len(done.stderr.splitlines()) == 1


def test_create_over_it_takes_the_old_request_away(dataset: Path, pictures: Path, s3: Any) -> None:
    from gpu_pack import CreateOptions, DeviceOptions, create

    assert _run(dataset, URL).returncode == 0
    assert (dataset / "sagemaker.json").exists()
    create(pictures, dataset, CreateOptions(device=DeviceOptions("cpu", workers=1), overwrite=True))
    assert not (dataset / "sagemaker.json").exists()
