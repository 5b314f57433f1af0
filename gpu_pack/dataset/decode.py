"""Decodes the pictures of records: JPEGs by libjpeg-turbo straight into RGB, all else by OpenCV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import simplejpeg

from gpu_pack.formats.image_headers import ImageError, jpeg
from gpu_pack.types import Color

Array = np.ndarray[Any, np.dtype[Any]]

_JPEG = b"\xff\xd8"
#: OpenCV's limit; a header that claims more is damaged, or a trap.
_MOST_PIXELS = 1 << 30
#: simplejpeg counts bytes in a C int.
_MOST_BYTES = (1 << 31) - 1


class JpegPlan(NamedTuple):
    """How libjpeg-turbo decodes a JPEG.

    Attributes:
        colorspace: simplejpeg's name of it.
        shape: of the pixels: height x width, for RGB x 3.
    """

    colorspace: str
    shape: tuple[int, ...]


def plan_jpeg(data: bytes, color: Color) -> JpegPlan | None:
    """None if OpenCV must decode it: no JPEG, CMYK, 12 bits, damaged, or to be turned upright."""
    if data[:2] != _JPEG:
        return None
    try:
        header = jpeg.read(data)
    except ImageError:
        return None
    if header.components not in (1, 3) or header.kind or (header.orientation != 1 and color != "unchanged"):
        return None
    pixels = header.height * header.width
    if not 0 < pixels <= _MOST_PIXELS or 3 * pixels > _MOST_BYTES:
        return None
    if color == "gray" or (color == "unchanged" and header.components == 1):
        return JpegPlan("GRAY", (header.height, header.width))
    return JpegPlan("RGB", (header.height, header.width, 3))


def decode_image(data: bytes, color: Color) -> Array | None:
    """The pixels of an encoded image as `gpu_pack.RecordDataset` gives them; None if OpenCV cannot decode it."""
    plan = plan_jpeg(data, color)
    pixels = _by_libjpeg(data, plan, None) if plan is not None else None
    return _by_opencv(data, color) if pixels is None else pixels


def decode_batch(images: Sequence[bytes], color: Color) -> Iterator[Array | None]:
    """What `decode_image` gives for each; JPEGs of the first one's size are views of one array, in order."""
    block: Array | None = None
    for place, data in enumerate(images):
        plan = plan_jpeg(data, color)
        if block is None and plan is not None:
            block = np.empty((len(images), *plan.shape), np.uint8)
        out = block[place] if block is not None and plan is not None and plan.shape == block.shape[1:] else None
        pixels = _by_libjpeg(data, plan, out) if plan is not None else None
        if pixels is None:
            pixels = _by_opencv(data, color)
            if out is not None and pixels is not None and pixels.shape == out.shape:
                out[...] = pixels
        yield out if out is not None and pixels is not None and pixels.shape == out.shape else pixels


def _by_libjpeg(data: bytes, plan: JpegPlan, out: Array | None) -> Array | None:
    """The pixels, in ``out`` if there is one; None if libjpeg complains: OpenCV decodes what it can."""
    try:
        pixels: Array = simplejpeg.decode_jpeg(data, plan.colorspace, buffer=out)
    except ValueError:
        return None
    return pixels.reshape(plan.shape) if len(plan.shape) == 2 else pixels


def _by_opencv(data: bytes, color: Color) -> Array | None:
    import cv2

    flags = {"rgb": cv2.IMREAD_COLOR, "gray": cv2.IMREAD_GRAYSCALE, "unchanged": cv2.IMREAD_UNCHANGED}
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags[color])
    except cv2.error:
        return None
    if image is None or image.ndim == 2:
        return image
    return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else cv2.COLOR_BGR2RGB)
