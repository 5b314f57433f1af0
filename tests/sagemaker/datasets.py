"""Small datasets of two channels."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import gpu_pack

SIZE = 32
BUCKET = "some-bucket"
HALVES = (("train", Fraction(5, 9)), ("val", Fraction(4, 9)))


def pack(source: Path, out: Path, **options: Any) -> Path:
    """40 images for training and 32 for validation, of three classes."""
    report = gpu_pack.create(source, out, **{"splits": HALVES, "device": "cpu", "workers": 1, **options})
    assert {name: split.packed for name, split in report.splits.items()} == {"train": 40, "val": 32}
    return out
