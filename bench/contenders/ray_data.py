"""Ray Data: read_binary_files, map_batches in tasks, write_parquet, on a cluster of this machine's cores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import ray
from job import Job, run


def crop(batch: dict[str, Any], job: Job, keys: dict[str, tuple[int, int]]) -> dict[str, Any]:
    from picture import jpeg

    found = [keys[os.path.realpath(path)] for path in batch["path"]]
    images = [data if job.pass_through else jpeg(data, job.size, job.quality) for data in batch["bytes"]]
    return {"key": [key for key, _ in found], "label": [label for _, label in found], "image": images}


def pack(job: Job) -> None:
    here = {"env_vars": {"PYTHONPATH": os.path.dirname(__file__)}}
    ray.init(num_cpus=job.cores, include_dashboard=False, runtime_env=here, _temp_dir=os.environ["TMPDIR"])
    items = job.items()
    keys = {os.path.realpath(item.path): (item.key, item.label) for item in items}
    files = ray.data.read_binary_files([item.path for item in items], include_paths=True)
    files.map_batches(partial(crop, job=job, keys=keys), batch_size=64).write_parquet(job.out)


def read(job: Job) -> Iterator[tuple[int, bytes]]:
    import pyarrow.parquet as pq

    for path in sorted(Path(job.out).rglob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            yield row["key"], row["image"]


if __name__ == "__main__":
    run(pack, read)
