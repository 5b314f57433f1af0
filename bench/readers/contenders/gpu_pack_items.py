"""gpu-pack's RecordDataset, item by item; with workers in PyTorch's DataLoader."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import gpu_pack
from bench.readers.contenders.loops import loader, over
from bench.readers.contenders.order import order_of
from bench.readers.crops import REC, Crops, link


def write(crops: Crops, source: Path, folder: Path) -> None:
    link(source, folder)


def reader(folder: Path, workers: int, shuffled: bool) -> Callable[[], tuple[int, int]]:
    dataset = gpu_pack.RecordDataset(folder / REC)
    if workers:
        collate = partial(gpu_pack.collate, tensors=True)
        return over(loader(dataset, workers, shuffle=shuffled, collate_fn=collate))

    def one() -> tuple[int, int]:
        order, labels = order_of(len(dataset), shuffled), 0
        for place in order:
            _, label = dataset[place]
            labels += label
        return len(order), labels

    return one
