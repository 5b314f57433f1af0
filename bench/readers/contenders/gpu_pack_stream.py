"""gpu-pack's RecordStream; with workers in PyTorch's DataLoader."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import gpu_pack
from bench.readers.contenders.loops import loader, over
from bench.readers.crops import REC, Crops, link


def write(crops: Crops, source: Path, folder: Path) -> None:
    link(source, folder)


def reader(folder: Path, workers: int, shuffled: bool) -> Callable[[], tuple[int, int]]:
    stream = gpu_pack.RecordStream(folder / REC, shuffle=1000 if shuffled else 0)
    if workers:
        return over(loader(stream, workers, collate_fn=partial(gpu_pack.collate, tensors=True)))

    def one() -> tuple[int, int]:
        images = labels = 0
        for _, label in stream:
            images += 1
            labels += label
        return images, labels

    return one
