"""A source, what a local run makes of it, and an empty output in a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.folders import write_picture
from tests.pipeline.outputs import published
from tests.pipeline.runs import pack, plan_of
from tests.pipeline.store.outputs import OPTIONS, Output
from tests.stores import servers
from tests.stores.buckets import Bucket, open_bucket


@pytest.fixture(scope="package")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty pictures, some of them bad."""
    root = tmp_path_factory.mktemp("originals") / "many"
    for number in range(40):
        path = root / f"c{number % 4}" / f"{number:03d}.jpg"
        write_picture(path, number)
        if number % 9 == 4:
            path.write_bytes(path.read_bytes()[:200])
    return root


@pytest.fixture(scope="package")
def undisturbed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole") / "out"
    pack(plan_of(source, out, OPTIONS))
    return published(out)


@pytest.fixture
def bucket(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    servers.use_s3(monkeypatch, s3_url)
    with open_bucket(s3_url) as found:
        yield found


@pytest.fixture
def out(bucket: Bucket, tmp_path: Path) -> Output:
    return Output(bucket, tmp_path)
