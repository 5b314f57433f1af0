"""Multi-Picture Format (CIPA DC-007): further pictures behind a JPEG, as in stereo photographs and bursts."""

from __future__ import annotations

import struct

_ENTRIES = 0xB002
_ENTRY = 16
#: Of an entry's type code: the class of reduced previews, which cameras add to many pictures.
_PREVIEW = 1
#: In the XMP data of photographs whose second picture is a gain map for bright displays.
_GAIN_MAPS = (b"hdrgm:", b"HDRGainMap", b"hdrgainmap")


def count(data: bytes, start: int, end: int) -> int:
    """The pictures that the index at ``data[start:end]`` of a JPEG lists and the file holds; previews do not count."""
    order = "<" if data[start : start + 2] == b"II" else ">"
    try:
        entries = _entries(data, order, start, end)
    except struct.error:
        return 1
    found = 1
    for position in entries[1:]:
        attributes, size, offset = struct.unpack_from(order + "III", data, position)
        found += attributes >> 16 & 0xFF != _PREVIEW and 0 < size <= len(data) - start - offset
    if found > 1 and any(data.find(mark, 0, end) >= 0 for mark in _GAIN_MAPS):
        return 1
    return found


def _entries(data: bytes, order: str, start: int, end: int) -> range:
    """Where the entries of the pictures lie."""
    (directory,) = struct.unpack_from(order + "I", data, start + 4)
    (fields,) = struct.unpack_from(order + "H", data, start + directory)
    first = start + directory + 2
    for position in range(first, min(first + 12 * fields, end - 11), 12):
        tag, _, length, place = struct.unpack_from(order + "HHII", data, position)
        if tag == _ENTRIES:
            place += start
            return range(place, min(place + length, end - _ENTRY + 1), _ENTRY)
    return range(0)
