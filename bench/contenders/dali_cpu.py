"""DALI's CPU operators, a thread a core. DALI writes no JPEG without a GPU: OpenCV does, in as many threads."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import framing
from job import Job, run
from nvidia.dali import fn, pipeline_def, types

_MOST = 64
cv2.setNumThreads(1)


@pipeline_def
def crops(job: Job, files: list[str], keys: list[int]) -> Any:
    data, keys_ = fn.readers.file(files=files, labels=keys, name="files", pad_last_batch=True)
    images = fn.decoders.image(data, device="cpu", output_type=types.BGR)
    images = fn.resize(images, resize_shorter=job.size, interp_type=types.INTERP_TRIANGULAR)
    return fn.crop(images, crop=(job.size, job.size)), keys_


def pack(job: Job) -> None:
    items = job.items()
    os.mkdir(job.out)
    # Its reader fills the last batch with repeats, which are decoded too: even batches leave least of these.
    batch = -(-len(items) // -(-len(items) // _MOST))
    pipe = crops(
        job, [item.path for item in items], [item.key for item in items],
        batch_size=batch, num_threads=job.cores, device_id=None, prefetch_queue_depth=2,
    )  # fmt: skip
    pipe.build()

    def encode(image: Any) -> bytes:
        return bytes(cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, job.quality))[1])

    with open(f"{job.out}/data", "wb") as out, ThreadPoolExecutor(job.cores) as pool:
        for start in range(0, len(items), batch):
            images, keys = pipe.run()
            count = min(batch, len(items) - start)
            for at, data in enumerate(pool.map(encode, (images.at(number) for number in range(count)))):
                out.write(framing.frame(int(keys.at(at)[0]), data))


if __name__ == "__main__":
    run(pack, framing.read)
