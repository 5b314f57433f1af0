"""Bit rot in a JPEG, told from its decoded pixels for next to nothing.

libjpeg goes on after damage, and OpenCV tells nobody. But a decoder that lost its way mostly runs out of data before
the last block and leaves that one at zero, which is mid-grey. So one look at the last pixel singles out the suspects,
and only they are examined: for foreign markers, and for whether the decoder would have read on. Of 4 KiB blocks
overwritten with zeros or noise nine in ten are found so, of lost ones nearly all. Of single changed bytes hardly any:
the Huffman code falls into step again within a few blocks, and nothing short of a checksum would tell.
"""

from __future__ import annotations

import cv2
import numpy as np

from cpu_fallback.resample import Pixels
from gpu_pack.headers import Header, ImageError
from gpu_pack.headers.scan import check_scan

#: EXIF orientations in which the stored picture's right (bottom) end is the upright one's left (top).
MIRRORED_X, MIRRORED_Y = frozenset((2, 3, 6, 7)), frozenset((3, 4, 7, 8))
_MID_GREY = 128
#: Compressed data that decodes to anything but flat grey, for decoders that are still hungry.
_FILLER = b"\x5a\xa5\x3c\x69" * 64


def check_decoded(pixels: Pixels, data: bytes, header: Header, turned: bool) -> None:
    """Pass if the decoder seems to have had data up to the last block of a JPEG.

    Args:
        pixels: the picture, decoded at any scale, height x width [x channels].
        data, header: what it was decoded from, complete according to `gpu_pack.headers.check_complete`.
        turned: whether the orientation has been applied.

    Raises:
        ImageError: the compressed data is damaged.
    """
    if header.restarts:  # after a restart marker the decoder finds its feet again: the last block tells nothing
        check_scan(data, header)
    orientation = header.orientation if turned else 1
    if orientation == 1 and pixels.item(-1) != _MID_GREY:  # nearly every picture
        return
    column = 0 if orientation in MIRRORED_X else -1
    row = 0 if orientation in MIRRORED_Y else -1
    if (pixels[row, column] == _MID_GREY).all():
        check_scan(data, header)
        if not header.progressive and _reads_on(data, header):
            raise ImageError("a damaged JPEG: its compressed data ends before its last rows")


def _reads_on(data: bytes, header: Header) -> bool:
    """Whether more compressed data before the end-of-image marker would change the picture."""
    end = data.find(b"\xff\xd9", header.body)
    longer = data[:end] + _FILLER + data[end:]
    first, second = (
        cv2.imdecode(np.frombuffer(each, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8) for each in (data, longer)
    )
    return first is None or second is None or not np.array_equal(first, second)
