"""webdataset: a ShardWriter a process."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from multiprocessing import Pool
from pathlib import Path

from job import Item, Job, run
from picture import packed
from webdataset import ShardWriter


def write(task: tuple[int, list[Item], Job]) -> None:
    part, items, job = task
    with ShardWriter(os.path.join(job.out, f"{part:02d}-%06d.tar"), verbose=0) as out:
        for item in items:
            image = packed(item.path, job.size, job.quality, job.pass_through)
            out.write({"__key__": f"{item.key:08d}", "jpg": image, "cls": item.label})


def pack(job: Job) -> None:
    os.mkdir(job.out)
    with Pool(job.cores) as pool:
        pool.map(write, [(part, items, job) for part, items in enumerate(job.parts())])


def read(job: Job) -> Iterator[tuple[int, bytes]]:
    for path in sorted(Path(job.out).glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".jpg") and (file := tar.extractfile(member)):
                    yield int(member.name[:-4]), file.read()


if __name__ == "__main__":
    run(pack, read)
