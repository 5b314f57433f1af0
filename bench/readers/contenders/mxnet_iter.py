"""MXNet's ImageRecordUInt8Iter, which decodes in threads of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mxnet

from bench.readers.contenders import BATCH
from bench.readers.crops import IDX, REC, SIZE, Crops, link


def write(crops: Crops, source: Path, folder: Path) -> None:
    link(source, folder)


def reader(folder: Path, workers: int, shuffled: bool) -> Callable[[], tuple[int, int]]:
    coming = mxnet.io.ImageRecordUInt8Iter(
        path_imgrec=str(folder / REC),
        path_imgidx=str(folder / IDX),
        data_shape=(3, SIZE, SIZE),
        batch_size=BATCH,
        shuffle=shuffled,
        preprocess_threads=max(workers, 1),
        round_batch=False,
    )

    def one() -> tuple[int, int]:
        coming.reset()
        images = 0
        for batch in coming:
            batch.data[0].wait_to_read()
            images += BATCH - batch.pad
        return images, -1

    return one
