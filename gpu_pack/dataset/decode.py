"""Decodes the pictures of records: JPEGs by libjpeg-turbo straight into RGB, all else by OpenCV."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import simplejpeg

from gpu_pack.formats.image_headers import ImageError, jpeg
from gpu_pack.types import Color

Array = np.ndarray[Any, np.dtype[Any]]

_JPEG = b"\xff\xd8"
_segment = struct.Struct(">HH").unpack_from
_frame = struct.Struct(">HHB").unpack_from
_SCAN = 0xFFDA
#: Baseline and progressive; tables, JFIF's segment and comments. Others are left to `jpeg.read`, EXIF among them.
_FRAMES = frozenset((0xFFC0, 0xFFC2))
_PLAIN = frozenset((0xFFC4, 0xFFDB, 0xFFDD, 0xFFE0, 0xFFFE))
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
    if (frame := _upright_frame(data, color == "unchanged")) is None:
        return None
    height, width, components = frame
    pixels = height * width
    if not 0 < pixels <= _MOST_PIXELS or 3 * pixels > _MOST_BYTES or components not in (1, 3):
        return None
    if color == "gray" or (color == "unchanged" and components == 1):
        return JpegPlan("GRAY", (height, width))
    return JpegPlan("RGB", (height, width, 3))


def _upright_frame(data: bytes, turned: bool) -> tuple[int, int, int] | None:
    """Height, width and components of a JPEG; None if it is none, damaged, or (unless ``turned``) not upright."""
    position, frame = 2, None
    try:
        while True:  # this runs for every image: the segments of those that encoders write, and nothing else
            code, length = _segment(data, position)
            if code in _FRAMES:
                frame = _frame(data, position + 5)
            elif code == _SCAN and frame is not None and data[:2] == _JPEG:
                return frame
            elif code not in _PLAIN:
                break
            position += 2 + length
        header = jpeg.read(data) if data[:2] == _JPEG else None
    except (ImageError, struct.error):
        return None
    if header is None or header.kind or (header.orientation != 1 and not turned):
        return None
    return header.height, header.width, header.components


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
