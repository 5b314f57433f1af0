"""Makes the set that all contenders read: crops of the photos, packed by gpu-pack, each with a label of its own."""

from __future__ import annotations

from itertools import cycle, islice
from pathlib import Path

import gpu_pack
from bench.readers.crops import IDX, REC
from gpu_pack.recordio import frame_image


def make_crops(photos: Path, folder: Path, count: int) -> None:
    """``count`` crops; the photos are repeated until there are enough, so that each crop has bytes of its own."""
    found = sorted(path for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))[:count]
    packed = folder.with_name("packed")
    gpu_pack.create(((path, 0) for path in found), packed, device="cpu", shuffle=False, overwrite=True)
    crops = [data for data, _ in gpu_pack.RecordDataset(packed / REC, decode=False)]
    folder.mkdir(parents=True)
    offset = 0
    with (folder / REC).open("wb") as rec, (folder / IDX).open("w") as idx:
        for key, data in enumerate(islice(cycle(crops), count)):
            framed = frame_image(key, (float(key),), data)
            rec.write(framed)
            idx.write(f"{key}\t{offset}\n")
            offset += len(framed)
