"""A small dataset of two channels, and an S3 of its own for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import boto3
import cv2
import numpy as np
import pytest
from moto.server import ThreadedMotoServer

import gpu_pack

SIZE = 32
BUCKET = "some-bucket"


def pack(source: Path, out: Path, **spec: Any) -> Path:
    """40 images for training and 32 for validation, of three classes."""
    division = gpu_pack.Division((("train", Fraction(5, 9)), ("val", Fraction(4, 9))))
    options = gpu_pack.CreateOptions(
        spec=gpu_pack.TransformSpec(**spec), division=division, device=gpu_pack.DeviceOptions("cpu", workers=1)
    )
    report = gpu_pack.create(source, out, options)
    assert {name: split.packed for name, split in report.splits.items()} == {"train": 40, "val": 32}
    return out


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """72 pictures of 40 x 36 pixels in three classes."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for number in range(72):
        path = folder / "abc"[number % 3] / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(cv2.imencode(".jpg", random.integers(0, 255, (36, 40, 3), np.uint8))[1].tobytes())
    return folder


@pytest.fixture(scope="session")
def _packed(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(pictures, tmp_path_factory.mktemp("packed") / "out", size=SIZE)


@pytest.fixture
def dataset(_packed: Path, tmp_path: Path) -> Path:
    """Packed to 32 x 32; to be damaged at will."""
    return Path(shutil.copytree(_packed, tmp_path / "out"))


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A client of an S3 server that has one bucket; gpu-pack finds it by the environment, as any endpoint."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.session.Session().client("s3")
    client.create_bucket(Bucket=BUCKET)
    yield client
    client.close()
    server.stop()
