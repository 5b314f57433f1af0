"""PSNR of crops against the same crop scaled in floating point by two filters.

Lanczos is the windowed sinc of three lobes, which keeps edges sharp; the triangular filter is what torchvision's
antialias, Pillow's BILINEAR and DALI use. Both are widened by the scale where they shrink, as Pillow's are, without
rounding between the passes. Pictures are decoded whole by OpenCV.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np

_LOBES = 3
FILTERS = ("lanczos", "triangle")


class Quality:
    """Compares crops of ``size`` with references, which are made once for each picture."""

    def __init__(self) -> None:
        self._made: dict[tuple[bytes, int], dict[str, list[Any]]] = {}

    def psnr(self, crop: Path, source: Path, size: int) -> dict[str, float] | None:
        """Decibels by filter between a crop's file and its references; None where the crop has another size.

        The crop may have been centred before or after scaling, to whole pixels or not: the nearest of these references
        counts, since half a pixel of shift is no fault.
        """
        found = cv2.imread(str(crop))
        if found is None or found.shape != (size, size, 3):
            return None
        made = self._references(source.read_bytes(), size)
        return {name: _decibels(min(np.mean((found - each) ** 2) for each in made[name])) for name in FILTERS}

    def _references(self, data: bytes, size: int) -> dict[str, list[Any]]:
        key = hashlib.sha256(data).digest(), size
        if key not in self._made:
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            self._made[key] = {name: references(picture, size, name) for name in FILTERS}
        return self._made[key]


def _decibels(error: float) -> float:
    return 10 * math.log10(255**2 / max(error, 1e-9))


def references(picture: Any, size: int, name: str) -> list[Any]:
    """(size, size, 3) float32 crops of an (H, W, 3) uint8 picture, for each way to centre one, clipped to 0..255."""
    height, width = picture.shape[:2]
    side = min(height, width)
    starts = zip(_starts(width, side, size), _starts(height, side, size), strict=True)
    boxes = {(round(x, 3), round(y, 3)) for x, y in starts}
    pixels = picture.astype(np.float32)
    return [
        np.clip(_across(_across(pixels, y, side, size, 0, name), x, side, size, 1, name), 0, 255)
        for x, y in sorted(boxes)
    ]


def _starts(length: int, side: int, size: int) -> tuple[float, float, float, float]:
    """Where the square begins, in source pixels: at a whole one, in the middle, or at a whole one once scaled."""
    margin, scale = length - side, side / size
    scaled = round(length / scale) - size
    return margin // 2, margin / 2, scaled // 2 * scale, -(-scaled // 2) * scale


def _across(picture: Any, start: float, side: int, size: int, axis: int, name: str) -> Any:
    weights = _weights(picture.shape[axis], start, side, size, name)
    return np.moveaxis(np.tensordot(weights, picture, (1, axis)), 0, axis)


def _weights(length: int, start: float, side: int, size: int, name: str) -> Any:
    """(size, length) float32: what each source pixel gives to each pixel of the result."""
    scale = side / size
    centres = start + (np.arange(size) + 0.5) * scale
    distance = np.abs(np.arange(length)[None, :] + 0.5 - centres[:, None]) / max(scale, 1.0)
    if name == "triangle":
        weights = np.maximum(0.0, 1.0 - distance)
    else:
        weights = np.where(distance < _LOBES, np.sinc(distance) * np.sinc(distance / _LOBES), 0.0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
