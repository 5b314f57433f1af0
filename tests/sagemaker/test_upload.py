"""The command against an S3 server: what lies in the bucket, what is sent again, what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gpu_pack
from gpu_pack.cli.main import run
from gpu_pack.errors import GpuPackError, OutputError, OutputExistsError, UsageError
from tests.folders import ENVIRONMENT, command
from tests.sagemaker.datasets import BUCKET

URL = f"s3://{BUCKET}/birds/v1"
KEYS = ["birds/v1/classes.txt", "birds/v1/manifest.json", "birds/v1/train/train.rec", "birds/v1/validation/val.rec"]


def _run(*arguments: object) -> int:
    return run(["sagemaker", *map(str, arguments)])


def _refused(*arguments: object) -> str:
    """The one sentence with which the command fails."""
    with pytest.raises(GpuPackError) as caught:
        _run(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def _keys(s3: Any) -> list[str]:
    return [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", ())]


def test_the_channels_arrive_and_the_request_says_what_the_job_needs(dataset: Path, s3: Any) -> None:
    line = command("sagemaker", dataset, URL, "-p", "epochs=10", "--hyperparameter", "use_pretrained_model=0")
    environment = {**os.environ, "PYTHONPATH": ENVIRONMENT["PYTHONPATH"]}  # with the server's address
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
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

    assert _run(dataset, URL, "--quiet") == 0
    request = json.loads((dataset / "sagemaker.json").read_text())
    model = botocore.session.get_session().get_service_model("sagemaker").operation_model("CreateTrainingJob")
    assert request.keys() == {"HyperParameters", "InputDataConfig"}
    for name, value in request.items():
        validate_parameters(value, model.input_shape.members[name])


def test_a_second_run_sends_only_what_is_missing(dataset: Path, s3: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(dataset, URL, "--quiet") == 0
    s3.delete_object(Bucket=BUCKET, Key=KEYS[3])
    capsys.readouterr()
    assert _run(dataset, URL, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] and report["sent"] == [f"s3://{BUCKET}/{KEYS[3]}"] and len(report["kept"]) == 3
    assert _keys(s3) == KEYS


def test_other_bytes_of_the_same_name_stay_unless_overwritten(dataset: Path, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key=KEYS[2], Body=b"somebody's work")
    with pytest.raises(OutputExistsError, match=r"is there already with other bytes.*--overwrite"):
        _run(dataset, URL)
    assert s3.get_object(Bucket=BUCKET, Key=KEYS[2])["Body"].read() == b"somebody's work"
    assert not (dataset / "sagemaker.json").exists()
    assert _run(dataset, URL, "--overwrite") == 0
    assert s3.head_object(Bucket=BUCKET, Key=KEYS[2])["ContentLength"] == (dataset / "train.rec").stat().st_size


def test_another_object_in_a_channel_is_refused_even_with_overwrite(dataset: Path, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="birds/v1/validation/", Body=b"")  # a folder, to S3's console
    s3.put_object(Bucket=BUCKET, Key="birds/v1/validation/old.rec", Body=b"x")
    with pytest.raises(OutputExistsError, match=r"birds/v1/validation/old\.rec, which the job would train on too"):
        _run(dataset, URL, "--overwrite")
    s3.delete_object(Bucket=BUCKET, Key="birds/v1/validation/old.rec")
    assert _run(dataset, URL) == 0


def test_a_dry_run_touches_nothing_and_needs_no_network(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert _run(dataset, URL, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "num_training_samples=40" in shown and "nothing was uploaded" in shown
    assert not (dataset / "sagemaker.json").exists()


def test_broken_rules_are_printed_and_the_status_is_1(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(dataset, URL, "-p", "mini_batch_size=64") == 1
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 3 and shown[-1] == "2 rules of the training job broken: nothing was uploaded"


def test_no_bucket_no_credentials_and_no_answer_are_a_sentence_each(
    dataset: Path, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = "s3://another-bucket/: there is no bucket another-bucket: create it, or name another"
    assert _refused(dataset, "s3://another-bucket") == sentence
    with monkeypatch.context() as change:
        change.setenv("AWS_ACCESS_KEY_ID", "")
        change.setenv("AWS_SECRET_ACCESS_KEY", "")
        assert "no AWS credentials were found" in _refused(dataset, URL)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert "Could not connect to the endpoint URL" in _refused(dataset, URL)


def test_without_boto3_it_says_what_to_install(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(OutputError, match="pip install boto3"):
        _run(dataset, URL)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("birds",), "not an S3 address"),
        (("s3:///x",), "not an S3 address"),
        (("s3://B/x",), "s3://B/x: a bucket name has 3 to 63 lower-case letters"),
        (("s3://b/x",), "'b' cannot be one"),
        (("s3://my_bucket",), "'my_bucket' cannot be one"),
        (("s3://192.168.0.1/x",), "'192.168.0.1' cannot be one"),
        (("s3://a..b/x",), "'a..b' cannot be one"),
        ((URL, "more"), "the arguments are a folder and an S3 address"),
        ((URL, "--train-from", "x"), "either OUT"),
        ((URL, "--validation", "val", "--validation-from", "x"), "both name the validation channel"),
        ((URL, "--train", "val", "--train-from", "x"), "names a split of OUT"),
        ((URL, "--output", "."), "--output names a file"),
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
def test_wrong_usage(arguments: tuple[str, ...], sentence: str, dataset: Path) -> None:
    with pytest.raises(UsageError) as caught:
        _run(dataset, *arguments)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_create_over_it_removes_the_old_request(dataset: Path, pictures: Path, s3: Any) -> None:
    assert _run(dataset, URL) == 0
    assert (dataset / "sagemaker.json").exists()
    gpu_pack.create(pictures, dataset, device="cpu", workers=1, overwrite=True)
    assert not (dataset / "sagemaker.json").exists()
