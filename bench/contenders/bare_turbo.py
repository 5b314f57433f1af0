"""libjpeg-turbo in threads, by simplejpeg; OpenCV resizes. Large pictures are decoded at 1/2, 1/4 or 1/8."""

from __future__ import annotations

import framing
import simplejpeg
from job import Item, Job, run
from picture import crop


def pack(job: Job) -> None:
    def encode(item: Item) -> bytes:
        with open(item.path, "rb") as file:
            data = file.read()
        image = simplejpeg.decode_jpeg(data, "BGR", min_height=job.size, min_width=job.size, min_factor=2)
        square = crop(image, job.size, job.options.get("interp", "linear"))
        encoded: bytes = simplejpeg.encode_jpeg(square, job.quality, "BGR", "420")
        return encoded

    framing.in_threads(job, encode)


if __name__ == "__main__":
    run(pack, framing.read)
