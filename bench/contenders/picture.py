"""The function that contenders without resizing of their own are given: what a careful user would write with OpenCV."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

_FILTERS = {"linear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA}
# Each contender runs one process or thread a core already.
cv2.setNumThreads(1)


def crop(image: Any, size: int, interp: str = "linear") -> Any:
    """The centre square of an (H, W, 3) array, scaled to ``size``."""
    height, width = image.shape[:2]
    side = min(height, width)
    y, x = (height - side) // 2, (width - side) // 2
    return cv2.resize(image[y : y + side, x : x + side], (size, size), interpolation=_FILTERS[interp])


def decoded(data: bytes) -> Any:
    """(H, W, 3) pixels, BGR.

    Raises:
        ValueError: OpenCV cannot decode it.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("OpenCV cannot decode it")
    return image


def jpeg(data: bytes, size: int, quality: int, interp: str = "linear") -> bytes:
    """The file of the crop of a file."""
    crop_ = crop(decoded(data), size, interp)
    return bytes(cv2.imencode(".jpg", crop_, (cv2.IMWRITE_JPEG_QUALITY, quality))[1])


def packed(path: str, size: int, quality: int, pass_through: bool) -> bytes:
    """What goes into a record: the file at ``path`` or its crop."""
    with open(path, "rb") as file:
        data = file.read()
    return data if pass_through else jpeg(data, size, quality)
