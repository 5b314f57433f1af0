"""Small pictures of large ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpu_pack.formats.image_headers import ImageError, examine
from gpu_pack.types import DEFAULT_MAX_PIXELS

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[Any]

_QUALITY = 80


def shrunk(data: bytes, edge: int) -> Pixels | None:
    """An encoded picture, upright, with a longer edge of at most ``edge``: height x width x 3, BGR, uint8.

    None for what cannot be decoded.
    """
    import cv2

    from cpu_fallback.decode import decode

    try:
        header = examine(data, DEFAULT_MAX_PIXELS, others_too=True)
        long = max(header.width, header.height)
        scale = next(scale for scale in (8, 4, 2, 1) if long >= 2 * scale * edge or scale == 1)
        pixels: Pixels = decode(data, header, "rgb", scale if header.format == "jpeg" else 1, lenient=True)
    except ImageError:
        return None
    height, width = pixels.shape[:2]
    factor = min(1.0, edge / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    smaller: Pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)  # a copy, where the size stays
    return smaller


def thumbnail(data: bytes, edge: int) -> bytes | None:
    """An encoded picture as a JPEG with a longer edge of at most ``edge``; None for what cannot be decoded."""
    import cv2

    pixels = shrunk(data, edge)
    if pixels is None:
        return None
    done, encoded = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
    return encoded.tobytes() if done else None
