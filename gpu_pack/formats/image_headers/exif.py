"""The orientation in EXIF data, read as OpenCV 5 reads it (modules/imgcodecs/src/exif.cpp)."""

from __future__ import annotations

import struct

_ORIENTATION = 0x0112
#: Tags whose values OpenCV reads too, with their sizes (0: text, sized by count); it stops at one that lies outside.
_FETCHED = {
    **dict.fromkeys((0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x8298), 0),
    0x011A: 8,
    0x011B: 8,
    0x013E: 16,
    0x013F: 48,
    0x0211: 24,
    0x0214: 48,
}


def orientation(tiff: bytes) -> int:
    """EXIF's orientation, 1 to 8, from a block that starts with its TIFF header; 1 by default."""
    return find_orientation(tiff) or 1


def find_orientation(tiff: bytes) -> int | None:
    """The same, but None without an orientation tag before the block ends or breaks; 1 for a value that is none.

    Like OpenCV: the first directory only, any field type, and big-endian unless the block begins with ``II``.
    """
    tiff = tiff.removeprefix(b"Exif\0\0")  # which only JPEG should have
    order = "<" if tiff[:2] == b"II" else ">"
    if len(tiff) < 10:
        return None
    mark, start = struct.unpack_from(order + "HI", tiff, 2)
    if mark != 42 or start + 2 > len(tiff):
        return None
    (count,) = struct.unpack_from(order + "H", tiff, start)
    entry = struct.Struct(order + "HHIH")
    for position in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 9), 12):
        tag, _kind, length, value = entry.unpack_from(tiff, position)
        if tag == _ORIENTATION:
            return value if 1 <= value <= 8 else 1
        if tag in _FETCHED and (_FETCHED[tag] or length > 4):
            where = int.from_bytes(tiff[position + 8 : position + 12], "little" if order == "<" else "big")
            if where + (_FETCHED[tag] or length) > len(tiff):
                return None
    return None
