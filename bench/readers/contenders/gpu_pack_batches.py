"""gpu-pack's RecordDataset in batches, which threads share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gpu_pack
from bench.readers.contenders import BATCH
from bench.readers.contenders.loops import batches
from bench.readers.contenders.order import order_of
from bench.readers.crops import REC, Crops, link


def write(crops: Crops, source: Path, folder: Path) -> None:
    link(source, folder)


def reader(folder: Path, workers: int, shuffled: bool, fast_dct: bool = False) -> Callable[[], tuple[int, int]]:
    dataset = gpu_pack.RecordDataset(folder / REC, threads=max(workers, 1), fast_dct=fast_dct)

    def coming() -> Iterator[tuple[Any, Any]]:
        order = order_of(len(dataset), shuffled)
        for start in range(0, len(order), BATCH):
            yield gpu_pack.collate(dataset.__getitems__(order[start : start + BATCH]))

    return lambda: batches(coming())
