"""Decodes the pictures of records: JPEGs by libjpeg-turbo straight into RGB, all else by OpenCV."""

from __future__ import annotations

import struct
from typing import Any

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
#: simplejpeg counts bytes in a C int; OpenCV refuses what has over 2^30 pixels.
_MOST_PIXELS = ((1 << 31) - 1) // 3


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


def _shape(data: bytes, color: Color) -> tuple[int, ...] | None:
    """Of the pixels that libjpeg-turbo decodes, H x W x 3 or H x W; None if OpenCV must: CMYK, damaged, no JPEG."""
    frame = _upright_frame(data, color == "unchanged")
    if frame is None:
        return None
    height, width, components = frame
    if not 0 < height * width <= _MOST_PIXELS or components not in (1, 3):
        return None
    gray = color == "gray" or (components == 1 and color == "unchanged")
    return (height, width) if gray else (height, width, 3)


def decode_image(data: bytes, color: Color) -> Array | None:
    """The pixels of an encoded image as `gpu_pack.RecordDataset` gives them; None if OpenCV cannot decode it."""
    shape = _shape(data, color)
    pixels = None if shape is None else _by_libjpeg(data, shape)
    return _by_opencv(data, color) if pixels is None else pixels


class BatchDecoder:
    """Gives what `decode_image` gives; JPEGs of the first one's size are views of one array, in order.

    Args:
        count: images that will be decoded.
        color: of all.
    """

    def __init__(self, count: int, color: Color) -> None:
        self._count, self._color = count, color
        self._block: Array | None = None
        self._place = 0

    def decode(self, data: bytes) -> Array | None:
        """The pixels of the next image; see `decode_image`."""
        shape = _shape(data, self._color)
        if self._block is None and shape is not None:
            self._block = np.empty((self._count, *shape), np.uint8)
        fits = self._block is not None and shape == self._block.shape[1:]
        out = self._block[self._place] if fits and self._block is not None else None
        self._place += 1
        pixels = None if shape is None else _by_libjpeg(data, shape, out)
        if pixels is None:
            pixels = _by_opencv(data, self._color)
            if out is not None and pixels is not None and pixels.shape == out.shape:
                out[...] = pixels
        return out if out is not None and pixels is not None and pixels.shape == out.shape else pixels


def _by_libjpeg(data: bytes, shape: tuple[int, ...], out: Array | None = None) -> Array | None:
    """The pixels, in ``out`` if there is one; None if libjpeg complains: OpenCV decodes what it can."""
    try:
        if len(shape) == 3:
            return simplejpeg.decode_jpeg(data, "RGB", buffer=out)  # type: ignore[no-any-return]
        return simplejpeg.decode_jpeg(data, "GRAY", buffer=out).reshape(shape)  # type: ignore[no-any-return]
    except ValueError:
        return None


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
