"""Decodes image files of every kind: JPEGs through `cpu_fallback.jpeg`, the rest by OpenCV."""

from __future__ import annotations

import cv2
import numpy as np

from cpu_fallback.jpeg import decode_jpeg
from cpu_fallback.opencv import image_error
from cpu_fallback.opencv_formats import decodes, unread
from cpu_fallback.resample import Pixels
from gpu_pack.formats.image_headers import Header, ImageError, png
from gpu_pack.formats.image_headers.scan import check_scan
from gpu_pack.types import Color

#: OpenCV's flags, by color and reduction.
_FLAGS = {
    ("rgb", 1): cv2.IMREAD_COLOR,
    ("rgb", 2): cv2.IMREAD_REDUCED_COLOR_2,
    ("rgb", 4): cv2.IMREAD_REDUCED_COLOR_4,
    ("rgb", 8): cv2.IMREAD_REDUCED_COLOR_8,
    ("gray", 1): cv2.IMREAD_GRAYSCALE,
    ("gray", 2): cv2.IMREAD_REDUCED_GRAYSCALE_2,
    ("gray", 4): cv2.IMREAD_REDUCED_GRAYSCALE_4,
    ("gray", 8): cv2.IMREAD_REDUCED_GRAYSCALE_8,
    ("unchanged", 1): cv2.IMREAD_UNCHANGED,
}
#: Besides JPEG. OpenCV turns TIFFs whatever its flags, and does not see all EXIF data of the others.
_TURNED_HERE = frozenset(("png", "webp", "avif"))
#: EXIF orientations whose upright picture has the stored one's right (bottom) edge at its left (top).
MIRRORED_X, MIRRORED_Y = frozenset((2, 3, 6, 7)), frozenset((3, 4, 7, 8))


def decode(
    data: bytes, header: Header, color: Color, reduction: int = 1, *, as_imread: bool = False, lenient: bool = False
) -> Pixels:
    """The pixels of an image file, height x width [x channels], in OpenCV's channel order (BGR).

    They may lie in a buffer that the thread's next call overwrites.

    Args:
        header: what `gpu_pack.formats.image_headers.examine` gave for ``data``.
        color: see `gpu_pack.types.TransformSpec`. The EXIF orientation is applied.
        reduction: 1, 2, 4 or 8: JPEGs, but ``unchanged``, can be decoded at 1/reduction scale; edges are rounded up.
        as_imread: apply the orientation that OpenCV's imread applies: none for ``unchanged``.
        lenient: see `decode_jpeg`.

    Raises:
        ImageError: the file is damaged, of a kind that OpenCV cannot decode, or too large for the memory.
    """
    flags = _FLAGS[color, reduction]
    try:
        if header.format == "jpeg":
            pixels = _decode_jpeg(data, header, color, reduction, flags, lenient)
            return pixels if as_imread and color == "unchanged" else upright(pixels, header.orientation)
        data = png.still(data) if header.format == "png" else data
        if as_imread or header.format not in _TURNED_HERE:
            return _imdecode(data, header, flags)
        return upright(_imdecode(data, header, flags | cv2.IMREAD_IGNORE_ORIENTATION), header.orientation)
    except (cv2.error, MemoryError) as error:
        raise image_error(error, "decode it", "decode") from None


def _decode_jpeg(data: bytes, header: Header, color: Color, reduction: int, flags: int, lenient: bool) -> Pixels:
    """As stored."""
    gray = color == "gray" or (color == "unchanged" and header.components == 1)
    pixels = decode_jpeg(data, header, gray, reduction, lenient)
    if pixels is None:
        pixels = _imdecode(data, header, flags | cv2.IMREAD_IGNORE_ORIENTATION)
    elif not lenient:
        return pixels
    check_scan(data, header)
    return pixels


def _imdecode(data: bytes, header: Header, flags: int) -> Pixels:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None and not decodes(header.format):
        raise unread(header.format)
    if pixels is None and header.kind:
        words = f"a JPEG of a rare kind ({header.kind}), which OpenCV {cv2.__version__} cannot decode"
        raise ImageError(words, code="unsupported")
    if pixels is None and header.format == "tiff" and header.precision not in (1, 2, 4, 8, 16):
        words = f"a TIFF of a rare kind ({header.precision}-bit), which OpenCV {cv2.__version__} cannot decode"
        raise ImageError(words, code="unsupported")
    if pixels is None:
        raise ImageError(f"OpenCV {cv2.__version__} cannot decode it: a damaged {header.format}, or a rare kind of it")
    return pixels


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Stored pixels as an EXIF orientation (1 to 8) wants them shown."""
    if orientation > 4:
        pixels = cv2.transpose(pixels)
    mirrored_x, mirrored_y = orientation in MIRRORED_X, orientation in MIRRORED_Y
    if mirrored_x or mirrored_y:
        pixels = cv2.flip(pixels, -1 if mirrored_x and mirrored_y else int(mirrored_x))
    return pixels
