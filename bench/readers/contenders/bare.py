"""The decoder alone, on bytes in memory: what reading costs is what others take longer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg

from bench.readers.contenders import BATCH
from bench.readers.contenders.order import order_of
from bench.readers.crops import SIZE, Crops, link


def write(crops: Crops, source: Path, folder: Path) -> None:
    link(source, folder)


def reader(folder: Path, workers: int, shuffled: bool) -> Callable[[], tuple[int, int]]:
    crops = Crops(folder)
    held = [crops[place] for place in range(len(crops))]

    def one() -> tuple[int, int]:
        order, labels = order_of(len(held), shuffled), 0
        for place in order:
            data, label = held[place]
            simplejpeg.decode_jpeg(data, "RGB")
            labels += label
        return len(order), labels

    def several() -> tuple[int, int]:
        order = order_of(len(held), shuffled)
        starts = range(0, len(order), BATCH)
        with ThreadPoolExecutor(workers) as pool:
            return len(order), sum(pool.map(lambda start: batch(held, order[start : start + BATCH]), starts))

    return several if workers else one


def batch(held: list[tuple[bytes, int]], places: list[int]) -> int:
    block: Any = np.empty((len(places), SIZE, SIZE, 3), np.uint8)
    for row, place in enumerate(places):
        simplejpeg.decode_jpeg(held[place][0], "RGB", buffer=block[row])
    return sum(held[place][1] for place in places)
