"""What a run published, read back."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from gpu_pack import recordio
from tests.folders import picture


def records(rec: Path) -> list[tuple[int, float, np.ndarray]]:
    """(key, label, BGR picture) of every record, by the index."""
    found = []
    with recordio.MXIndexedRecordIO(str(rec.with_suffix(".idx")), str(rec), "r") as file:
        for key in file.keys:
            header, image = recordio.unpack_img(file.read_idx(key))
            assert header.id == key
            found.append((key, header.label, image))
    return found


def nearest(image: np.ndarray) -> int:
    """Which of the numbered pictures a 20 x 20 one was made from."""
    made = [cv2.resize(picture(number)[:, 5:35], (20, 20), interpolation=cv2.INTER_AREA) for number in range(30)]
    return int(np.argmin([np.abs(image.astype(int) - one).mean() for one in made]))


def published(out: Path) -> dict[str, bytes]:
    """Everything in an output folder but what depends on the day."""
    files = {path.name: path.read_bytes() for path in out.iterdir()}
    manifest = json.loads(files["manifest.json"])
    del manifest["run"]
    files["manifest.json"] = json.dumps(manifest).encode()
    return files
