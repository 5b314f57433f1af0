"""MosaicML streaming: an MDSWriter a process, then merge_index, as its page on parallel conversion has it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from multiprocessing import Pool

from job import Item, Job, run
from picture import packed
from streaming import MDSWriter
from streaming.base.util import merge_index

_COLUMNS = {"key": "int", "label": "int", "image": "bytes"}


def write(task: tuple[int, list[Item], Job]) -> None:
    part, items, job = task
    with MDSWriter(out=os.path.join(job.out, f"{part:02d}"), columns=_COLUMNS) as out:
        for item in items:
            image = packed(item.path, job.size, job.quality, job.pass_through)
            out.write({"key": item.key, "label": item.label, "image": image})


def pack(job: Job) -> None:
    with Pool(job.cores) as pool:
        pool.map(write, [(part, items, job) for part, items in enumerate(job.parts())])
    merge_index(job.out, keep_local=True)


def read(job: Job) -> Iterator[tuple[int, bytes]]:
    from streaming import LocalDataset

    for part in sorted(os.listdir(job.out)):
        if os.path.exists(os.path.join(job.out, part, "index.json")):
            for sample in LocalDataset(os.path.join(job.out, part)):
                yield sample["key"], sample["image"]


if __name__ == "__main__":
    run(pack, read)
