"""Decodes the pictures of records: JPEGs by libjpeg-turbo straight into RGB, all else by OpenCV."""

from __future__ import annotations

import struct
import threading

import numpy as np
import simplejpeg

from gpu_pack.dataset.blocks import Array, Blocks
from gpu_pack.formats.image_headers import ImageError, jpeg
from gpu_pack.types import Color

_JPEG = b"\xff\xd8"
_segment = struct.Struct(">HH").unpack_from
_frame = struct.Struct(">HHB").unpack_from
_SCAN = 0xFFDA
#: Baseline and progressive; tables, JFIF's segment and comments. Others are left to `jpeg.read`, EXIF among them.
_FRAMES = frozenset((0xFFC0, 0xFFC2))
_PLAIN = frozenset((0xFFC4, 0xFFDB, 0xFFDD, 0xFFE0, 0xFFFE))
#: simplejpeg counts bytes in a C int; OpenCV refuses what has over 2^30 pixels.
_MOST_PIXELS = ((1 << 31) - 1) // 3

#: Height, width and components of a JPEG.
_Frame = tuple[int, int, int]
_Shape = tuple[int, ...]
#: The bytes before the first scan of the last JPEG of the common kind, as what it was decoded, and its shape. Crops of
#: one encoder differ in their scans alone, so that one comparison takes the place of reading the segments.
_last: tuple[bytes, Color, _Shape | None] = b"\xff\xd8\xff\xd8", "rgb", None


def _shape(data: bytes, begin: int, end: int, color: Color) -> _Shape | None:
    """Of the pixels that libjpeg-turbo decodes, H x W x 3 or H x W; None if OpenCV must: CMYK, damaged, no JPEG."""
    global _last
    head, as_color, shape = _last
    if data.startswith(head, begin, end) and as_color == color:
        return shape
    if data[begin : begin + 2] != _JPEG:
        return None
    image = data[begin:end]
    found = _common_frame(image)
    if found is None:
        return _shape_of(_other_frame(image, color == "unchanged"), color)
    shape = _shape_of(found[1], color)
    _last = image[: found[0]], color, shape
    return shape


def _shape_of(frame: _Frame | None, color: Color) -> _Shape | None:
    if frame is None:
        return None
    height, width, components = frame
    if not 0 < height * width <= _MOST_PIXELS or components not in (1, 3):
        return None
    gray = color == "gray" or (components == 1 and color == "unchanged")
    return (height, width) if gray else (height, width, 3)


def _other_frame(image: bytes, turned: bool) -> _Frame | None:
    """None if the JPEG is damaged, or (unless ``turned``) not upright."""
    try:
        header = jpeg.read(image)
    except ImageError:
        return None
    if header.kind or (header.orientation != 1 and not turned):
        return None
    return header.height, header.width, header.components


def _common_frame(image: bytes) -> tuple[int, _Frame] | None:
    """Where the first scan begins, and the frame; None if there are other segments than those that encoders write."""
    position, frame = 2, None
    try:
        while True:
            code, length = _segment(image, position)
            if code in _FRAMES:
                frame = _frame(image, position + 5)
            elif code == _SCAN and frame is not None:
                return position, frame
            elif code not in _PLAIN:
                return None
            position += 2 + length
    except struct.error:
        return None


def decode_image(data: bytes, begin: int, end: int, color: Color, fast_dct: bool) -> Array | None:
    """The pixels of the image encoded in ``data[begin:end]``, as `gpu_pack.RecordDataset` gives them.

    None if OpenCV cannot decode it.
    """
    shape = _shape(data, begin, end, color)
    image = memoryview(data)[begin:end]
    pixels = None if shape is None else _by_libjpeg(image, shape, fast_dct)
    return _by_opencv(image, color) if pixels is None else pixels


class BatchDecoder:
    """Gives what `decode_image` gives; JPEGs of the first one's size are rows of one array. Threads may share it.

    Args:
        count: images that will be decoded.
        color, fast_dct: of all.
        blocks: lends the memory.
    """

    def __init__(self, count: int, color: Color, fast_dct: bool, blocks: Blocks) -> None:
        self._count, self._color, self._fast_dct, self._blocks = count, color, fast_dct, blocks
        self._begun = threading.Lock()
        self._shape: _Shape | None = None
        self._block: Array
        self._apart = False

    def whole(self) -> Array | None:
        """The array whose rows are the images; None if some are not."""
        return None if self._apart or self._shape is None else self._block

    def decode(self, row: int, data: bytes, begin: int, end: int) -> Array | None:
        """The pixels of the image that the row is for; see `decode_image`."""
        shape = _shape(data, begin, end, self._color)
        if shape is not None and shape == (self._shape or self._begin(shape)):
            out: Array = self._block[row]
            image = memoryview(data)[begin:end]
            if _by_libjpeg(image, shape, self._fast_dct, out) is not None:
                return out
            pixels = _by_opencv(image, self._color)
            if pixels is not None and pixels.shape == shape:
                out[...] = pixels
                return out
        self._apart = True
        return decode_image(data, begin, end, self._color, self._fast_dct)

    def _begin(self, shape: _Shape) -> _Shape:
        with self._begun:
            if self._shape is None:
                self._block = self._blocks.take((self._count, *shape))
                self._shape = shape
            return self._shape


def _by_libjpeg(image: memoryview, shape: _Shape, fast_dct: bool, out: Array | None = None) -> Array | None:
    """The pixels, in ``out`` if there is one; None if libjpeg complains: OpenCV decodes what it can."""
    try:
        if len(shape) == 3:
            return simplejpeg.decode_jpeg(image, "RGB", fast_dct, buffer=out)  # type: ignore[no-any-return]
        gray = simplejpeg.decode_jpeg(image, "GRAY", fast_dct, buffer=out)
        return gray.reshape(shape)  # type: ignore[no-any-return]
    except ValueError:
        return None


def _by_opencv(image: memoryview, color: Color) -> Array | None:
    import cv2

    flags = {"rgb": cv2.IMREAD_COLOR, "gray": cv2.IMREAD_GRAYSCALE, "unchanged": cv2.IMREAD_UNCHANGED}
    try:
        pixels = cv2.imdecode(np.frombuffer(image, np.uint8), flags[color])
    except cv2.error:
        return None
    if pixels is None or pixels.ndim == 2:
        return pixels
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB)
