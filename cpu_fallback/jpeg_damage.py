"""Bit rot in a JPEG, told from what its decoder says and from its decoded pixels, for next to nothing.

libjpeg goes on after damage, and OpenCV tells nobody. It does say so on standard error, and `gpu_pack.formats.native_stderr`
listens while a run lasts: that data ended before the last block, or that some were left after it. Of 4 KiB blocks
that were overwritten nearly all are found so, and three quarters of those that changed places; of single changed bits
every seventh, since the Huffman code mostly falls into step again, and nothing short of a checksum would tell.

Where nobody listens there are the pixels. A decoder that lost its way mostly runs out of data before the last block
and leaves that one at zero, which is mid-grey. So one look at the last pixel singles out the suspects, and only they
are examined: for foreign markers, and for whether the decoder would have read on.
"""

from __future__ import annotations

import re

import cv2
import numpy as np

from cpu_fallback.resample import Pixels
from gpu_pack.formats import native_stderr
from gpu_pack.formats.image_headers import Header, ImageError
from gpu_pack.formats.image_headers.scan import check_scan

#: EXIF orientations in which the stored picture's right (bottom) end is the upright one's left (top).
MIRRORED_X, MIRRORED_Y = frozenset((2, 3, 6, 7)), frozenset((3, 4, 7, 8))
_MID_GREY = 128
#: Compressed data that decodes to anything but flat grey, for decoders that are still hungry.
_FILLER = b"\x5a\xa5\x3c\x69" * 64


#: What libjpeg says of damaged data (jerror.h of libjpeg-turbo 3). Of extraneous bytes elsewhere, as between the
#: segments before the picture, it says so too, and they do no harm.
_COMPLAINTS = re.compile(
    rb"^Corrupt JPEG data: (?:(?P<left>\d+) extraneous bytes before marker 0xd9"
    rb"|(?P<broken>premature end of data segment|bad Huffman code|found marker 0x\w\w instead of RST\d))",
    re.MULTILINE,
)
#: Encoders that fill up the last bytes of a picture's data leave as many, and no damage.
_FEW_BYTES = 8


def decode_jpeg(data: bytes, flags: int) -> tuple[Pixels | None, str | None]:
    """A JPEG's pixels by OpenCV, None where it cannot; and what libjpeg complained of, None for nothing.

    Raises:
        cv2.error, MemoryError: as `cv2.imdecode`.
    """
    encoded = np.frombuffer(data, np.uint8)
    return native_stderr.overhear(lambda: cv2.imdecode(encoded, flags), _complaint)


def _complaint(said: bytes) -> str | None:
    for found in _COMPLAINTS.finditer(said):
        if found["broken"]:
            return f"libjpeg says: {found['broken'].decode()}"
        if int(found["left"]) > _FEW_BYTES:
            return f"{int(found['left']):,} bytes of its picture data are left over after the last row"
    return None


def check_decoded(pixels: Pixels, data: bytes, header: Header, turned: bool) -> None:
    """Pass if the decoder seems to have had data up to the last block of a JPEG.

    Args:
        pixels: the picture, decoded at any scale, height x width [x channels].
        data, header: what it was decoded from, complete according to `gpu_pack.formats.image_headers.check_complete`.
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
    # Through `decode_jpeg`, too: whatever libjpeg says of these is not said of somebody else's picture.
    first, second = (decode_jpeg(each, cv2.IMREAD_REDUCED_GRAYSCALE_8)[0] for each in (data, longer))
    return first is None or second is None or not np.array_equal(first, second)
