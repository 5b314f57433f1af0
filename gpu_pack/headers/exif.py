"""The orientation in EXIF data, read as OpenCV reads it (modules/imgcodecs/src/exif.cpp), so that both agree."""

from __future__ import annotations

import struct

_ORIENTATION = 0x0112
#: Tags before the orientation whose value OpenCV fetches too: where one points outside, it stops reading.
_STRINGS = frozenset((0x010E, 0x010F, 0x0110))


def orientation(tiff: bytes) -> int:
    """EXIF's orientation, 1 to 8, from a block that starts with its TIFF header; 1 where it has none.

    Like OpenCV: the first directory only, any field type, values outside 1 to 8 ignored.
    """
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 10:
        return 1
    mark, start = struct.unpack_from(order + "HI", tiff, 2)
    if mark != 42 or start + 2 > len(tiff):
        return 1
    (count,) = struct.unpack_from(order + "H", tiff, start)
    entry = struct.Struct(order + "HHIH2x")
    for position in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 11), 12):
        tag, _kind, length, value = entry.unpack_from(tiff, position)
        if tag == _ORIENTATION:
            return value if 1 <= value <= 8 else 1
        if tag in _STRINGS and length > 4:
            (where,) = struct.unpack_from(order + "I", tiff, position + 8)
            if where + length > len(tiff):
                return 1
    return 1
