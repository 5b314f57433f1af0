"""litdata: chunks of 64 MB that hold the JPEGs as they are, StreamingDataset and StreamingDataLoader."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import litdata
from PIL import Image

from bench.readers.contenders import BATCH
from bench.readers.contenders.loops import batches
from bench.readers.crops import Crops, write_files


def sample(place_path: tuple[int, str]) -> dict[str, Any]:
    place, path = place_path
    return {"image": Image.open(path), "label": place}


def write(crops: Crops, source: Path, folder: Path) -> None:
    paths = write_files(crops, folder / "jpg")
    inputs = [(crops.label(place), str(path)) for place, path in enumerate(paths)]
    litdata.optimize(sample, inputs, str(folder / "chunks"), chunk_bytes="64MB", num_workers=2, mode="overwrite")


def reader(folder: Path, workers: int, shuffled: bool) -> Callable[[], tuple[int, int]]:
    dataset = litdata.StreamingDataset(str(folder / "chunks"), shuffle=shuffled)
    options = {"persistent_workers": True} if workers else {}
    loader = litdata.StreamingDataLoader(dataset, batch_size=BATCH, num_workers=workers, **options)
    return partial(_pass, loader)


def _pass(loader: Any) -> tuple[int, int]:
    return batches((batch["image"], batch["label"]) for batch in loader)
