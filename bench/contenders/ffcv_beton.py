"""FFCV's DatasetWriter with JPEG fields, a worker a core. It does not crop: the dataset does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
from ffcv.fields import IntField, RGBImageField
from ffcv.writer import DatasetWriter
from job import Item, Job, run
from picture import crop, decoded


class Crops:
    """A map-style dataset of (RGB crop, label, key)."""

    def __init__(self, items: list[Item], size: int) -> None:
        self._items, self._size = items, size

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, at: int) -> tuple[Any, int, int]:
        item = self._items[at]
        with open(item.path, "rb") as file:
            image = crop(decoded(file.read()), self._size)
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), item.label, item.key


def pack(job: Job) -> None:
    image = RGBImageField(write_mode="jpg", max_resolution=job.size, jpeg_quality=job.quality)
    fields = {"image": image, "label": IntField(), "key": IntField()}
    writer = DatasetWriter(job.out, fields, num_workers=job.cores)
    writer.from_indexed_dataset(Crops(job.items(), job.size), chunksize=100)


def read(job: Job) -> Iterator[tuple[int, bytes]]:
    from ffcv.fields.decoders import IntDecoder, SimpleRGBImageDecoder
    from ffcv.loader import Loader, OrderOption

    pipelines = {"image": [SimpleRGBImageDecoder()], "label": None, "key": [IntDecoder()]}
    for images, keys in Loader(job.out, batch_size=1, num_workers=1, order=OrderOption.SEQUENTIAL, pipelines=pipelines):
        image = cv2.cvtColor(images[0], cv2.COLOR_RGB2BGR)
        yield int(keys[0][0]), cv2.imencode(".png", image)[1].tobytes()


if __name__ == "__main__":
    run(pack, read)
