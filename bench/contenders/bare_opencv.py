"""The floor: nothing but OpenCV in threads. ``options.interp``: linear or area."""

from __future__ import annotations

import framing
from job import Item, Job, run
from picture import jpeg


def pack(job: Job) -> None:
    def encode(item: Item) -> bytes:
        with open(item.path, "rb") as file:
            return jpeg(file.read(), job.size, job.quality, job.options.get("interp", "linear"))

    framing.in_threads(job, encode)


if __name__ == "__main__":
    run(pack, framing.read)
