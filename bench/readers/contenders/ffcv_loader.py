"""ffcv, with the settings of its guide for data that fits in memory: os_cache, whole batches, JPEGs kept as such.

Its field encodes pixels anew; quality 95 gives files of the size that the crops have.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from ffcv.fields import IntField, RGBImageField
from ffcv.fields.decoders import IntDecoder, SimpleRGBImageDecoder
from ffcv.loader import Loader, OrderOption
from ffcv.transforms import ToTensor
from ffcv.writer import DatasetWriter

from bench.readers.contenders import BATCH
from bench.readers.contenders.loops import over
from bench.readers.crops import SIZE, Crops


class Pixels:
    """The crops decoded, as ffcv's writer takes them."""

    def __init__(self, crops: Crops) -> None:
        self._crops = crops

    def __len__(self) -> int:
        return len(self._crops)

    def __getitem__(self, place: int) -> tuple[Any, int]:
        data, label = self._crops[place]
        return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), label


def write(crops: Crops, source: Path, folder: Path) -> None:
    image = RGBImageField(write_mode="jpg", max_resolution=SIZE, jpeg_quality=95)
    writer = DatasetWriter(str(folder / "train.beton"), {"image": image, "label": IntField()}, num_workers=2)
    writer.from_indexed_dataset(Pixels(crops))


def reader(folder: Path, workers: int, shuffled: bool) -> Callable[[], tuple[int, int]]:
    return over(
        Loader(
            str(folder / "train.beton"),
            batch_size=BATCH,
            num_workers=max(workers, 1),
            os_cache=True,
            order=OrderOption.RANDOM if shuffled else OrderOption.SEQUENTIAL,
            drop_last=False,
            pipelines={"image": [SimpleRGBImageDecoder(), ToTensor()], "label": [IntDecoder(), ToTensor()]},
        )
    )
