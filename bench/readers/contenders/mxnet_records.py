"""MXNet's MXIndexedRecordIO and unpack_img; with workers gluon's DataLoader over ImageRecordDataset, which uses it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import mxnet

from bench.readers.contenders import BATCH
from bench.readers.contenders.order import order_of
from bench.readers.crops import IDX, REC, SIZE, Crops, link


def write(crops: Crops, source: Path, folder: Path) -> None:
    link(source, folder)


def reader(folder: Path, workers: int, shuffled: bool) -> Callable[[], tuple[int, int]]:
    file = mxnet.recordio.MXIndexedRecordIO(str(folder / IDX), str(folder / REC), "r")

    def one() -> tuple[int, int]:
        labels = 0
        order = order_of(len(file.keys), shuffled)
        for place in order:
            header, image = mxnet.recordio.unpack_img(file.read_idx(file.keys[place]), 1)
            assert cv2.cvtColor(image, cv2.COLOR_BGR2RGB).shape == (SIZE, SIZE, 3)
            labels += header.id
        return len(order), labels

    if not workers:
        return one
    dataset = mxnet.gluon.data.vision.ImageRecordDataset(str(folder / REC))
    loader = mxnet.gluon.data.DataLoader(dataset, batch_size=BATCH, shuffle=shuffled, num_workers=workers)

    def several() -> tuple[int, int]:
        images = 0
        for pixels, _ in loader:
            pixels.wait_to_read()
            assert pixels.shape[1:] == (SIZE, SIZE, 3)
            images += len(pixels)
        return images, -1

    return several
