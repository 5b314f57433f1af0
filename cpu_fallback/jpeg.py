"""Decodes JPEGs by libjpeg-turbo (simplejpeg), into one buffer a thread, and names damage in libjpeg's own words.

libjpeg continues after damage, and OpenCV does not report its warnings. simplejpeg's strict mode raises the first one:
on 120 photographs, that names 117 overwritten blocks of 4 KiB, 88 exchanged ones, and 17 single flipped bits, since
decoding mostly resynchronises. The pixels are identical to OpenCV's.
"""

from __future__ import annotations

import re
import threading

import numpy as np
import simplejpeg

from cpu_fallback.resample import Pixels
from gpu_pack.formats.image_headers import Header, ImageError
from gpu_pack.formats.image_headers.scan import check_scan

#: libjpeg-turbo's words (jerror.h) for damaged picture data. Its other warnings do not concern the pixels, such as
#: extraneous bytes between the segments before the picture.
_BROKEN = re.compile(
    r"premature end of data segment|bad Huffman code|found marker 0x\w\w instead of RST\d|Bogus marker length"
)
_LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
#: Some encoders leave up to this many bytes before the end marker.
_FEW_BYTES = 8
#: More are rather a sign that the decoder lost its place in damaged data, which no warning tells.
_MANY_BYTES = 1024
#: By `Header.components`: other kinds than gray, YCbCr and RGB are converted by OpenCV, with its own arithmetic.
_CMYK = 4
#: Larger buffers are not kept for the next picture (22 megapixels).
_LARGEST_KEPT = 64 << 20
#: simplejpeg counts bytes in a C int.
_MOST_BYTES = (1 << 31) - 1
#: Pictures with shorter edges than this have the same size at several scales, and simplejpeg may take the wrong one.
_LEAST_EDGE = 8


class _Buffer(threading.local):
    """A thread's memory for decoded pixels. Allocating it anew costs a sixth of the decoding at 12 megapixels."""

    def __init__(self) -> None:
        self._kept = np.empty(0, np.uint8)

    def take(self, size: int) -> Pixels:
        """``size`` bytes or more, uninitialised."""
        if size <= self._kept.size:
            return self._kept
        buffer = np.empty(size, np.uint8)
        if size <= _LARGEST_KEPT:
            self._kept = buffer
        return buffer


_buffer = _Buffer()


def decode_jpeg(data: bytes, header: Header, gray: bool, reduction: int, lenient: bool = False) -> Pixels | None:
    """A JPEG's pixels as stored, height x width (gray) or height x width x 3 (BGR), or None: OpenCV must decode it.

    The pixels are valid until the thread's next call.

    Args:
        header: what `gpu_pack.formats.image_headers.examine` gave for ``data``.
        reduction: 1, 2, 4 or 8: decode at 1/reduction scale; edges are rounded up.
        lenient: accept up to 1,024 bytes between the picture data and the end marker.

    Raises:
        ImageError: the picture data is damaged; of code ``blemished`` where ``lenient`` accepts it.
        MemoryError: too large for this machine.
    """
    if header.restarts:  # libjpeg resynchronises at restart markers, and its first warning may be a harmless one
        check_scan(data, header)
    if header.components == _CMYK:
        _decode(data, header, "CMYK", 4, 8, lenient)  # for its warnings
        return None
    pixels = _decode(data, header, "GRAY" if gray else "BGR", 1 if gray else 3, reduction, lenient)
    return pixels[..., 0] if gray and pixels is not None else pixels


def strictly_decoded(data: bytes, header: Header) -> bool:
    """Whether libjpeg decodes a JPEG without a complaint.

    Raises:
        ImageError: the picture data is damaged.
    """
    if header.restarts:
        check_scan(data, header)
    reduction = 8 if max(header.height, header.width) >= _LEAST_EDGE else 1
    colorspace, channels = ("CMYK", 4) if header.components == _CMYK else ("GRAY", 1)
    return _decode(data, header, colorspace, channels, reduction, False) is not None


def _decode(
    data: bytes, header: Header, colorspace: str, channels: int, reduction: int, lenient: bool
) -> Pixels | None:
    height, width = -(-header.height // reduction), -(-header.width // reduction)
    size = height * width * channels
    if size > _MOST_BYTES or (reduction > 1 and max(header.height, header.width) < _LEAST_EDGE):
        return None
    buffer = _buffer.take(size)
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, colorspace, min_height=height, min_width=width, buffer=buffer)
        return pixels
    except ValueError as error:
        words = str(error)
    if broken := _BROKEN.search(words):
        raise ImageError(f"a damaged JPEG: libjpeg says: {broken[0]}")
    if not (left_over := _LEFT_OVER.search(words)):
        return None
    count = int(left_over[1])
    if count > (_MANY_BYTES if lenient else _FEW_BYTES):
        words = f"a damaged JPEG: {count:,} bytes of its picture data are left over after the last row"
        raise ImageError(words, code="damaged" if count > _MANY_BYTES else "blemished")
    return buffer[:size].reshape(height, width, channels)  # a warning after the last row: all pixels are there
