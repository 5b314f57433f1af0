"""im2rec's arguments, and its records read in order: the same for im2rec.py, im2rec.cc and gpu-pack."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from job import Job


def im2rec_arguments(job: Job, root: str | None = None) -> list[str]:
    """The list copied to where im2rec looks for it, and im2rec.py's flags, or those that make a list of ``root``."""
    Path(job.out).mkdir()
    prefix = [f"{job.out}/data", root or job.root]
    if job.options.get("listing"):
        return ["--list", "--recursive", *prefix]
    shutil.copyfile(job.listed, f"{job.out}/data.lst")
    size = ["--resize", str(job.size), "--center-crop", "--quality", str(job.quality)]
    return [*(["--pass-through"] if job.pass_through else size), "--num-thread", str(job.cores), *prefix]


def read_with(recordio: Any, job: Job) -> Iterator[tuple[int, bytes]]:
    """Keys and pictures of all records under ``out``; ``recordio`` has the names of mx.recordio."""
    for path in sorted(Path(job.out).glob("*.rec*")):
        file = recordio.MXRecordIO(str(path), "r")
        while record := file.read():
            header, data = recordio.unpack(record)
            yield header.id, data
        file.close()
