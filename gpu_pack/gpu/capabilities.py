"""Which options and which images the GPU may try. Everything else belongs to the CPU codec."""

from __future__ import annotations

import struct

from gpu_pack.formats.image_headers import Header
from gpu_pack.types import TransformSpec

#: (horizontal, vertical) factors of the three components: 4:4:4, 4:2:2, 4:2:0 and 4:4:0. The engines refuse others.
_SAMPLINGS = frozenset(((x, y), (1, 1), (1, 1)) for x in (1, 2) for y in (1, 2))
#: An APP14 segment of Adobe's, at whose end stands the colour transform: 0 means RGB without YCbCr, which decoders
#: tell apart in different ways.
_ADOBE = b"\xff\xee\x00\x0eAdobe"
_ADOBE_TRANSFORM = len(_ADOBE) + 6
#: By orientation: APP1 with a little-endian TIFF header and one directory of one SHORT.
_EXIF = tuple(
    b"\xff\xe1"
    + struct.pack(">H", 34)
    + b"Exif\0\0II*\0"
    + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    for orientation in range(9)
)


def supports(spec: TransformSpec) -> str | None:
    """Why the GPU cannot do what ``spec`` asks for; None where it can."""
    if spec.pass_through:
        return "--pass-through decodes nothing"
    if spec.encoding != "jpg":
        return f"--encoding {spec.encoding}: the GPU writes JPEG only"
    if spec.color == "unchanged":
        return "--color unchanged: the GPU decodes to RGB or gray, 8 bits"
    return None


def decodable(data: bytes, header: Header) -> bool:
    """Whether every GPU decodes this as libjpeg does: baseline JPEG, 8 bits, gray or YCbCr in a usual sampling."""
    if header.format != "jpeg" or header.progressive or header.precision != 8:
        return False
    if header.components == 1:
        return True
    if header.sampling not in _SAMPLINGS:
        return False
    found = data.find(_ADOBE, 0, header.body)
    return found < 0 or data[found + _ADOBE_TRANSFORM] == 1


def with_plain_exif(data: bytes, header: Header) -> bytes:
    """The file with our reading of its orientation put first, where it has any EXIF data.

    nvImageCodec takes the first EXIF segment, and reads it by other rules than OpenCV does: where any tag is malformed
    it ignores the orientation. A segment that holds nothing else leaves no room for that.
    """
    if data.find(b"Exif\0", 0, header.body) < 0:
        return data
    return data[:2] + _EXIF[header.orientation] + data[2:]


def last_corner(header: Header) -> tuple[int, int]:
    """(y, x) in the upright picture of the pixel that is stored last, whose block is decoded last."""
    width, height = header.upright_size
    x = 0 if header.orientation in (2, 3, 6, 7) else width - 1
    y = 0 if header.orientation in (3, 4, 7, 8) else height - 1
    return y, x
