"""mosaicml-streaming: MDS shards with jpeg columns, StreamingDataset in PyTorch's DataLoader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import streaming
import torch
from PIL import Image

from bench.readers.contenders import BATCH
from bench.readers.contenders.loops import loader, over
from bench.readers.crops import Crops, write_files


class Pixels(streaming.StreamingDataset):  # type: ignore[misc, unused-ignore]
    """Its items decoded as far as a training needs them."""

    def __getitem__(self, at: Any) -> Any:
        item = super().__getitem__(at)
        return torch.from_numpy(np.array(item["image"])), item["label"]


def write(crops: Crops, source: Path, folder: Path) -> None:
    paths = write_files(crops, folder / "jpg")
    with streaming.MDSWriter(out=str(folder / "mds"), columns={"image": "jpeg", "label": "int"}) as out:
        for place, path in enumerate(paths):
            out.write({"image": Image.open(path), "label": crops.label(place)})


def reader(folder: Path, workers: int, shuffled: bool) -> Callable[[], tuple[int, int]]:
    streaming.base.util.clean_stale_shared_memory()
    return over(loader(Pixels(local=str(folder / "mds"), shuffle=shuffled, batch_size=BATCH), workers))
