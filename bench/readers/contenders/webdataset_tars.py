"""webdataset: tars of about 16 MB, decoded as it decodes by itself, batched in the workers, WebLoader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import webdataset

from bench.readers.contenders import BATCH
from bench.readers.contenders.loops import over
from bench.readers.crops import Crops

_SHARDS = 8


def write(crops: Crops, source: Path, folder: Path) -> None:
    count = -(-len(crops) // _SHARDS)
    with webdataset.ShardWriter(str(folder / "train-%05d.tar"), maxcount=count, verbose=0) as shards:
        for place in range(len(crops)):
            data, label = crops[place]
            shards.write({"__key__": f"{place:09d}", "jpg": data, "cls": label})


def reader(folder: Path, workers: int, shuffled: bool) -> Callable[[], tuple[int, int]]:
    tars = sorted(map(str, folder.glob("*.tar")))
    found = webdataset.WebDataset(tars, shardshuffle=len(tars) if shuffled else False)
    if shuffled:
        found = found.shuffle(1000)
    found = found.decode("rgb8").to_tuple("jpg", "cls").batched(BATCH)
    return over(webdataset.WebLoader(found, batch_size=None, num_workers=workers, persistent_workers=workers > 0))
