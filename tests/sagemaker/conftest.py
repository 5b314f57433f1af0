"""A dataset of two channels and an S3 server, each made once; a test gets copies."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import cv2
import numpy as np
import pytest
from moto.server import ThreadedMotoServer

from tests.sagemaker.datasets import BUCKET, SIZE, pack


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


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A client of a server with one empty bucket; gpu-pack finds the server by the environment, as any endpoint."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
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
    for item in client.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        client.delete_object(Bucket=BUCKET, Key=item["Key"])
    client.close()
