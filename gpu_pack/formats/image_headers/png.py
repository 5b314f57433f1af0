"""PNG (ISO/IEC 15948): its chunks."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress

from gpu_pack.formats.image_headers.exif import orientation as exif_orientation
from gpu_pack.formats.image_headers.model import Header, ImageError

_FIRST_CHUNK = 8
_chunk = struct.Struct(">I4s").unpack_from
_ihdr = struct.Struct(">IIBB").unpack_from
_ANIMATION = frozenset((b"acTL", b"fcTL", b"fdAT"))
#: Colour types.
_PALETTE, _ALPHA = 3, frozenset((4, 6))
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def read(data: bytes) -> Header:
    """Size and depth of a PNG from its IHDR, the rest from the chunks before its data and from its eXIf."""
    if len(data) < 33:
        raise _cut_short(len(data))
    length, kind = _chunk(data, _FIRST_CHUNK)
    if kind != b"IHDR" or length != 13:
        raise ImageError("a damaged PNG: it does not begin with an IHDR chunk")
    width, height, depth, colour = _ihdr(data, 16)
    if colour not in _CHANNELS:
        raise ImageError(f"a damaged PNG: colour type {colour} does not exist")
    alpha, frames, apart, significant, orientation = colour in _ALPHA, 0, 1, 0, None
    before_data = True
    for kind, start, end in _chunks_there(data):
        if kind == b"eXIf" and orientation is None:
            orientation = exif_orientation(data[start:end])
        before_data = before_data and kind != b"IDAT"
        if not before_data:
            continue
        if kind == b"tRNS":
            alpha = True
        elif kind == b"acTL" and end - start == 8:
            frames = int.from_bytes(data[start : start + 4], "big")
        elif kind == b"fcTL":
            apart = 0  # the default image is the first frame
        elif kind == b"sBIT" and colour != _PALETTE:
            significant = max(data[start : end if colour not in _ALPHA else end - 1], default=0)
    return Header(
        "png", width, height, orientation or 1, _CHANNELS[colour], depth,
        alpha=alpha, pages=max(1, frames + apart), significant=significant,
    )  # fmt: skip


def transparent_colour(data: bytes) -> tuple[int, ...] | None:
    """The one colour (gray, or red, green, blue, in the file's depth) that the tRNS chunk of a PNG makes transparent.

    None where there is none, and for palettes.
    """
    if data[25] not in (0, 2):
        return None
    for kind, start, end in _chunks_there(data):
        if kind == b"IDAT":
            break
        if kind == b"tRNS" and end - start == (2 if data[25] == 0 else 6):
            return struct.unpack_from(f">{(end - start) // 2}H", data, start)
    return None


def check(data: bytes, header: Header) -> None:
    """Check that every chunk up to IEND is there, and the checksums of those that the picture needs."""
    view = memoryview(data)
    picture = False
    for kind, start, end in _chunks(data):
        if not kind[0] & 0x20:  # critical: its first letter is a capital
            (stated,) = struct.unpack_from(">I", data, end)
            if zlib.crc32(view[start - 4 : end]) != stated:
                name = kind.decode("ascii", "replace")
                raise ImageError(f"a damaged PNG: the checksum of the {name} chunk at byte {start - 8} is wrong")
        picture = picture or kind == b"IDAT"
    if not picture:
        raise ImageError("a damaged PNG: it has no picture data (no IDAT chunk)")


def still(data: bytes) -> bytes:
    """A complete PNG without its animation: the default image alone.

    OpenCV 5.0's imdecode returns unset memory for some animated files that its imread, and 4.10, decode.
    """
    chunks = list(_chunks(data))
    if all(kind not in _ANIMATION for kind, _, _ in chunks):
        return data
    kept = (data[start - 8 : end + 4] for kind, start, end in chunks if kind not in _ANIMATION)
    return data[:_FIRST_CHUNK] + b"".join(kept)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(type, first byte, end) of the data of each chunk, IEND included."""
    position = _FIRST_CHUNK
    while position + 12 <= len(data):
        length, kind = _chunk(data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            break
        yield kind, position + 8, end
        if kind == b"IEND":
            return
        position = end + 4
    raise _cut_short(len(data))


def _chunks_there(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The chunks, as far as they are there."""
    with suppress(ImageError):  # cut short: `check` raises it
        yield from _chunks(data)


def _cut_short(size: int) -> ImageError:
    return ImageError(f"a PNG cut short: it ends after {size} bytes without its IEND chunk", code="truncated")
