"""Pictures as the workloads want them, from whatever photographs there are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

#: Pixels of a photograph that is used as it is (ImageNet's have 180,000 on average); others get this shorter edge.
_PIXELS, _SHORT_EDGE = range(100_000, 400_000), 375
_TILE, _TILES = (500, 375), 8
_SUFFIXES = (".jpg", ".jpeg")
PICTURES = (*_SUFFIXES, ".png", ".bmp", ".webp", ".tif", ".tiff")


def as_imagenet(path: Path) -> bytes | None:
    """A JPEG of about 500 x 375 pixels: the file itself if it is one; None where OpenCV cannot decode it."""
    data = path.read_bytes()
    image = _decoded(data)
    if image is None:
        return None
    height, width = image.shape[:2]
    if path.suffix.lower() in _SUFFIXES and height * width in _PIXELS:
        return data
    scale = _SHORT_EDGE / min(height, width)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return _jpeg(cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=how), 92)


def mosaic(photographs: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """12 megapixels: 64 photographs, so that it is as busy as a real one."""
    chosen = rng.integers(0, len(photographs), _TILES * _TILES)
    tiles = [cv2.resize(_decoded(photographs[at]), _TILE) for at in chosen]
    rows = [np.hstack(tiles[start : start + _TILES]) for start in range(0, len(tiles), _TILES)]
    return _jpeg(np.vstack(rows), 92)


def centre(photograph: bytes, size: int) -> bytes:
    """Its centre square, scaled."""
    return _jpeg(_square(_decoded(photograph), size), 92)


def speck() -> bytes:
    """The smallest JPEG of use: 8 x 8 pixels, 600 bytes."""
    return _jpeg(np.zeros((8, 8, 3), np.uint8), 92)


def _square(image: Any, size: int) -> Any:
    height, width = image.shape[:2]
    side = min(height, width)
    y, x = (height - side) // 2, (width - side) // 2
    return cv2.resize(image[y : y + side, x : x + side], (size, size), interpolation=cv2.INTER_AREA)


def _decoded(data: bytes) -> Any:
    """Height x width x 3, BGR; None where OpenCV cannot decode it, or refuses its size."""
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:
        return None


def _jpeg(image: Any, quality: int) -> bytes:
    return bytes(cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))[1])
