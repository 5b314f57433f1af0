"""LitData's optimize, with a worker a core and chunks of 64 MB."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from job import Item, Job, run
from litdata import StreamingDataset, optimize
from picture import packed


def sample(item: Item, size: int, quality: int, pass_through: bool) -> dict[str, Any]:
    return {"key": item.key, "label": item.label, "image": packed(item.path, size, quality, pass_through)}


def pack(job: Job) -> None:
    function = partial(sample, size=job.size, quality=job.quality, pass_through=job.pass_through)
    optimize(function, job.items(), job.out, num_workers=job.cores, chunk_bytes="64MB")


def read(job: Job) -> Iterator[tuple[int, bytes]]:
    for found in StreamingDataset(job.out):
        yield found["key"], bytes(found["image"])


if __name__ == "__main__":
    run(pack, read)
