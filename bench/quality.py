"""PSNR of crops against a high-quality reference: the same crop scaled in floating point by a Lanczos filter.

The filter is the windowed sinc of three lobes, widened by the scale where it shrinks, as Pillow's LANCZOS is, but without
rounding between the passes. Pictures are decoded whole by OpenCV.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np

_LOBES = 3


def psnr(crop: Path, source: Path, size: int) -> float:
    """Decibels between a crop's file and the reference made of its source; -inf where the crop has another size.

    The crop may have been centred before or after scaling, to whole pixels or not: the nearest of these references counts,
    since half a pixel of shift is no fault.
    """
    found = cv2.imread(str(crop))
    picture = cv2.imread(str(source))
    if found is None or picture is None or found.shape != (size, size, 3):
        return -math.inf
    errors = [np.mean((found - made) ** 2) for made in references(picture, size)]
    return float(10 * np.log10(255**2 / max(min(errors), 1e-9)))


def references(picture: Any, size: int) -> list[Any]:
    """(size, size, 3) float64 crops of an (H, W, 3) uint8 picture, for each way to centre one, clipped to 0..255."""
    height, width = picture.shape[:2]
    side = min(height, width)
    scale = side / size
    boxes = []
    for ways in zip(_starts(width, side, scale, size), _starts(height, side, scale, size), strict=True):
        if ways not in boxes:
            boxes.append(ways)
    return [
        np.clip(_across(_across(picture.astype(np.float64), y, side, size, 0), x, side, size, 1), 0, 255)
        for x, y in boxes
    ]


def _starts(length: int, side: int, scale: float, size: int) -> tuple[float, float, float]:
    """Where the square begins, in source pixels: at a whole pixel, in the middle, at a whole pixel of the scaled picture."""
    margin = length - side
    return margin // 2, margin / 2, (round(length / scale) - size) // 2 * scale


def _across(picture: Any, start: float, side: int, size: int, axis: int) -> Any:
    weights = _weights(picture.shape[axis], start, side, size)
    return np.moveaxis(np.tensordot(weights, picture, (1, axis)), 0, axis)


def _weights(length: int, start: float, side: int, size: int) -> Any:
    """(size, length) float64: what each source pixel gives to each pixel of the result."""
    scale = side / size
    stretch = max(scale, 1.0)
    centres = start + (np.arange(size) + 0.5) * scale
    distance = (np.arange(length)[None, :] + 0.5 - centres[:, None]) / stretch
    weights = np.where(np.abs(distance) < _LOBES, np.sinc(distance) * np.sinc(distance / _LOBES), 0.0)
    return weights / weights.sum(axis=1, keepdims=True)
