"""Hugging Face datasets: map with a process a core, then to_parquet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import datasets
from job import Job, run
from picture import packed


def sample(row: dict[str, Any], size: int, quality: int, pass_through: bool) -> dict[str, Any]:
    data = packed(row["path"], size, quality, pass_through)
    return {"image": {"bytes": data, "path": None}}


def pack(job: Job) -> None:
    os.mkdir(job.out)
    items = job.items()
    columns = {
        "key": [item.key for item in items],
        "label": [item.label for item in items],
        "path": [item.path for item in items],
    }
    listed = datasets.Dataset.from_dict(columns)
    image = datasets.Image(decode=False)
    features = datasets.Features({"key": datasets.Value("int64"), "label": datasets.Value("int64"), "image": image})
    found = listed.map(
        sample,
        fn_kwargs={"size": job.size, "quality": job.quality, "pass_through": job.pass_through},
        remove_columns=["path"],
        features=features,
        num_proc=job.cores,
    )
    found.to_parquet(os.path.join(job.out, "data.parquet"))


def read(job: Job) -> Iterator[tuple[int, bytes]]:
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(os.path.join(job.out, "data.parquet")).iter_batches(64):
        for row in batch.to_pylist():
            yield row["key"], row["image"]["bytes"]


if __name__ == "__main__":
    run(pack, read)
