"""Which options and which files the GPU path supports. The CPU codec handles the others."""

from __future__ import annotations

import struct

from gpu_pack.formats.image_headers import Header
from gpu_pack.types import TransformSpec

#: (horizontal, vertical) factors of the components in 4:4:4, 4:2:2, 4:2:0 and 4:4:0. JPEG engines refuse others.
_SAMPLINGS = frozenset(((x, y), (1, 1), (1, 1)) for x in (1, 2) for y in (1, 2))
#: Adobe's APP14 segment. Its last byte is the colour transform; 0 means RGB, which decoders detect differently.
_ADOBE = b"\xff\xee\x00\x0eAdobe"
_ADOBE_TRANSFORM = len(_ADOBE) + 6
#: By orientation: an APP1 segment with a little-endian TIFF header and a directory of that one tag.
_EXIF = tuple(
    struct.pack(">HH6s", 0xFFE1, 34, b"Exif\0\0")
    + struct.pack("<4sIHHHIHHI", b"II*\0", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    for orientation in range(9)
)


def unsupported(spec: TransformSpec) -> str | None:
    """Why the GPU cannot do what ``spec`` asks for; None if it can."""
    if spec.pass_through:
        return "--pass-through decodes nothing"
    if spec.encoding != "jpg":
        return f"--encoding {spec.encoding}: the GPU writes JPEG only"
    if spec.color == "unchanged":
        return "--color unchanged: the GPU decodes to RGB or gray, 8 bits"
    return None


def decodable(data: bytes, header: Header) -> bool:
    """Whether GPUs decode the file as libjpeg does: baseline JPEG, 8 bits, gray or YCbCr in a common sampling."""
    if header.format != "jpeg" or header.progressive or header.precision != 8:
        return False
    if header.pages > 1:  # which the codec notes
        return False
    if header.components == 1:
        return True
    if header.sampling not in _SAMPLINGS:
        return False
    adobe = data.find(_ADOBE, 0, header.body)
    return adobe < 0 or data[adobe + _ADOBE_TRANSFORM] == 1


def normalize_exif(data: bytes, header: Header) -> bytes:
    """The file with an EXIF segment of only ``header.orientation`` inserted first, if it has EXIF data.

    nvImageCodec reads the first EXIF segment, and ignores the orientation if any tag is malformed; OpenCV does not.
    """
    if data.find(b"Exif\0", 0, header.body) < 0:
        return data
    return data[:2] + _EXIF[header.orientation] + data[2:]


def last_pixel(header: Header) -> tuple[int, int]:
    """(y, x) in the upright picture of a pixel in the block that is decoded last."""
    width, height = header.upright_size
    x = 0 if header.orientation in (2, 3, 6, 7) else width - 1
    y = 0 if header.orientation in (3, 4, 7, 8) else height - 1
    return y, x
