"""MXNet's own tools/im2rec.py, a process a core. ``options.source``: a ``tar`` or a ``bucket``, fetched first."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

from job import Job, run
from records import im2rec_arguments, read_with


def pack(job: Job) -> None:
    root = {"tar": extracted, "bucket": fetched}.get(job.options.get("source", ""), lambda job: job.root)(job)
    sys.argv = ["im2rec.py", *im2rec_arguments(job, root)]
    spec = find_spec("mxnet")
    assert spec and spec.origin
    runpy.run_path(os.path.join(os.path.dirname(spec.origin), "tools", "im2rec.py"), run_name="__main__")


def extracted(job: Job) -> str:
    """The tars of a tar, by the tar program: one a core at a time."""
    folder = Path(f"{job.out}.files")
    folder.mkdir()
    subprocess.run(["tar", "-xf", job.source["tar"], "-C", str(folder)], check=True)

    def extract(inner: Path) -> None:
        target = inner.with_suffix("")
        target.mkdir()
        subprocess.run(["tar", "-xf", str(inner), "-C", str(target)], check=True)
        inner.unlink()

    with ThreadPoolExecutor(job.cores) as pool:
        list(pool.map(extract, folder.glob("*.tar")))
    return str(folder)


def fetched(job: Job) -> str:
    """The objects of a bucket, by boto3 in 16 threads."""
    import boto3
    import botocore.config

    folder = Path(f"{job.out}.files")
    config = botocore.config.Config(max_pool_connections=16)
    client = boto3.client("s3", endpoint_url=job.source["endpoint"], config=config)
    bucket, _, prefix = job.source["bucket"].removeprefix("s3://").partition("/")

    def fetch(name: str) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(client.get_object(Bucket=bucket, Key=f"{prefix}/{name}")["Body"].read())

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(fetch, (item.path.removeprefix(f"{job.root}/") for item in job.items())))
    return str(folder)


def read(job: Job) -> Iterator[tuple[int, bytes]]:
    from mxnet import recordio

    return read_with(recordio, job)


if __name__ == "__main__":
    run(pack, read)
