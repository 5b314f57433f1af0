"""Which image formats the installed OpenCV decodes, and how rejects name those that it does not."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from gpu_pack.formats.image_headers import CONVERT, SUPPORTED, ImageError

#: Suffixes by format; builds of OpenCV that decode one also encode it.
_SUFFIXES = {
    "gif": ".gif",
    "jp2": ".jp2",
    "avif": ".avif",
    "jxl": ".jxl",
    "exr": ".exr",
    "hdr": ".hdr",
    "sun raster": ".ras",
    "pnm": ".ppm",
    "pfm": ".pfm",
}


@cache
def decodes(name: str) -> bool:
    """Whether OpenCV decodes the format ``name`` (see `sniff`): it is given one picture to encode and decode."""
    if name in SUPPORTED:
        return True
    if name not in _SUFFIXES:
        return False
    try:
        pixels = np.zeros((64, 64, 3), np.float32 if name in ("hdr", "exr", "pfm") else np.uint8)
        done, data = cv2.imencode(_SUFFIXES[name], pixels)
        return done and cv2.imdecode(data, cv2.IMREAD_UNCHANGED) is not None
    except cv2.error:
        return False


def unread(name: str) -> ImageError:
    """The error for a picture of a format that is not packed: without ``--formats any``, or at all."""
    if decodes(name):
        words = f"{name} is not packed by default: --formats any packs it"
    else:
        words = f"OpenCV {cv2.__version__} cannot read {name}: {CONVERT}"
    return ImageError(words, code="unsupported")
