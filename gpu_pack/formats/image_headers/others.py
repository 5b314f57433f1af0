"""Formats that are packed under ``--formats any`` only, as far as their headers matter: size, depth, pages, the end.

OpenCV decodes them, if it was built to. What cannot be read here is left to it: a header of 0 x 0 pixels.
"""

from __future__ import annotations

import re
import struct

from gpu_pack.formats.image_headers.model import Header, ImageError

#: By the axis of imir and the quarter turns of irot, which come first: EXIF's orientation.
_ORIENTATIONS = {None: (1, 8, 3, 6), 0: (4, 5, 2, 7), 1: (2, 7, 4, 5)}
_CODESTREAM = b"\xff\x4f\xff\x51"
_PNM = re.compile(rb"P[2356](?:\s+|#[^\n]*\n)+(\d{1,9})(?:\s+|#[^\n]*\n)+(\d{1,9})(?:\s+|#[^\n]*\n)+(\d{1,5})\s")


def read(data: bytes, name: str) -> Header:
    """The header of a file of the format ``name``.

    Raises:
        ImageError: the file is cut short.
    """
    if name == "gif":
        return _gif(data)
    if name in ("jp2", "avif") and data[4:8] in (b"ftyp", b"jP  "):
        _check_boxes(data, name)
    if name == "jp2":
        return _jpeg_2000(data)
    if name == "avif":
        return Header(name, 0, 0, _avif_orientation(data), alpha=True, pages=2 if data[8:12] == b"avis" else 1)
    if name == "pnm" and (found := _PNM.match(data[:4096])):
        width, height, most = map(int, found.groups())
        bits = most.bit_length()
        return Header(name, width, height, precision=16 if bits > 8 else 8, significant=bits if bits > 8 else 0)
    return Header(name, 0, 0)


def _avif_orientation(data: bytes) -> int:
    """The EXIF orientation that says what the boxes irot and imir say (ISO/IEC 23008-12); EXIF data do not count."""
    begin = data.find(b"ipco")  # the item properties; those of the picture come before its alpha's
    turns, mirror = data.find(b"irot", begin), data.find(b"imir", begin)
    quarter_turns = data[turns + 4] & 3 if 0 <= begin < turns < len(data) - 4 else 0  # anticlockwise
    axis = data[mirror + 4] & 1 if 0 <= begin < mirror < len(data) - 4 else None
    return _ORIENTATIONS[axis][quarter_turns]


def _gif(data: bytes) -> Header:
    """Size, frames and end of a GIF."""
    cut = ImageError(f"a GIF cut short: it ends after {len(data)} bytes without its trailer", code="truncated")
    if len(data) < 13:
        raise cut
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    frames = 0
    while position < len(data):
        block = data[position]
        if block == 0x3B:
            return Header("gif", width, height, alpha=True, pages=max(frames, 1))
        if block == 0x2C and position + 10 < len(data):
            frames += 1
            flags = data[position + 9]
            position += 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        elif block == 0x21:
            position += 2
        else:
            raise ImageError(f"a damaged GIF: no block begins at byte {position}")
        while position < len(data) and data[position]:  # sub-blocks, each with its length
            position += 1 + data[position]
        position += 1
    raise cut


def _check_boxes(data: bytes, name: str) -> None:
    """Check that the boxes of an ISO file lie inside it."""
    position = 0
    while position < len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        if length == 1:
            length = int.from_bytes(data[position + 8 : position + 16], "big")
        if length == 0:  # up to the end of the file
            return
        if position + length > len(data) or len(data) - position < 8:
            raise ImageError(
                f"a file of {name} cut short: its contents go on to byte {position + length}, it has {len(data)}",
                code="truncated",
            )
        position += max(length, 8)


def _jpeg_2000(data: bytes) -> Header:
    start = data.find(_CODESTREAM)
    if start < 0 or start + 43 > len(data):
        raise ImageError(f"a JPEG 2000 cut short: it has only {len(data)} bytes", code="truncated")
    if data.find(b"\xff\xd9", max(start, len(data) - 2)) < 0 and data.rfind(b"\xff\xd9", start) < 0:
        raise ImageError("a JPEG 2000 cut short: it has no end of its codestream", code="truncated")
    right, bottom, left, top = struct.unpack_from(">IIII", data, start + 8)
    return Header("jp2", right - left, bottom - top, precision=(data[start + 42] & 0x7F) + 1, alpha=True)
