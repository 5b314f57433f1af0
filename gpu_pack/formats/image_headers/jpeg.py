"""JPEG (ITU-T T.81): the marker segments, read as leniently as libjpeg reads them."""

from __future__ import annotations

import struct

from gpu_pack.formats.image_headers import multi_picture
from gpu_pack.formats.image_headers.exif import find_orientation
from gpu_pack.formats.image_headers.model import Header, ImageError

#: More segments than any camera writes; bounds the time that a file of tiny segments takes.
_MAX_SEGMENTS = 65_536
_segment = struct.Struct(">BBH").unpack_from
_frame = struct.Struct(">BHHB").unpack_from

_BASELINE, _SOI, _EOI, _SOS, _DRI, _APP1, _APP2, _JPEG_LS = 0xC0, 0xD8, 0xD9, 0xDA, 0xDD, 0xE1, 0xE2, 0xF7
#: The last frame of the kinds that all decoders read; above it are lossless, hierarchical and arithmetic ones.
_PROGRESSIVE = 0xC2
#: The start of a DNL segment.
_LINES = b"\xff\xdc\0\4"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Markers that stand alone, without a length: TEM and RST0 to RST7.
_BARE = frozenset((0x01, *range(0xD0, 0xD8)))
#: By marker code: whether the segment is skipped (tables, comments, most application data).
_PLAIN = bytes(
    code >= 0xC0 and code not in {*_FRAMES, *_BARE, _SOI, _EOI, _SOS, _DRI, _APP1, _APP2, _JPEG_LS, 0xFF}
    for code in range(256)
)


def read(data: bytes) -> Header:
    """Size, orientation and frame of a JPEG, from its segments up to the first scan."""
    frame = orientation = None
    restarts = False
    pages = 1
    position = 2
    for _ in range(_MAX_SEGMENTS):
        try:
            prefix, code, length = _segment(data, position)
        except struct.error:
            raise _cut_short(len(data)) from None
        end = position + 2 + length
        if prefix == 0xFF and _PLAIN[code] and length >= 2:  # this runs for every image: the common case first
            position = end
            continue
        if prefix != 0xFF or code == 0xFF or code == 0x00:
            position = _next_marker(data, position)
            continue
        if code in _BARE:
            position += 2
            continue
        _check_segment(data, position, code, length)
        if code == _SOS:
            if frame is None:
                raise ImageError("a damaged JPEG: its scan comes before its size")
            return _header(data, frame, orientation or 1, restarts, position + 2, pages)
        if code in _FRAMES:
            if frame is not None:
                raise ImageError("a damaged JPEG: it states its size twice")
            frame = position
        elif code == _APP1 and orientation is None and data[position + 4 : position + 10] == b"Exif\0\0":
            orientation = find_orientation(data[position + 10 : end])
        elif code == _APP2:
            if data[position + 4 : position + 8] == b"MPF\0":
                pages = multi_picture.count(data, position + 8, end)
        elif code == _JPEG_LS:
            raise ImageError("a JPEG-LS, which no decoder here reads: convert it to PNG", code="unsupported")
        elif code == _DRI:
            restarts = data[end - 2 : end] != b"\0\0"
        position = end
    raise ImageError(f"a damaged JPEG: more than {_MAX_SEGMENTS} segments before any picture data")


def check(data: bytes, header: Header) -> None:
    """Check that an end-of-image marker follows the first scan."""
    # A stuffed zero follows each 0xFF of a scan, so FFD9 cannot occur inside one; a thumbnail's lies before it.
    if data.find(b"\xff\xd9", max(header.body, len(data) - 2)) < 0 and data.find(b"\xff\xd9", header.body) < 0:
        raise _cut_short(len(data))


def _check_segment(data: bytes, position: int, code: int, length: int) -> None:
    if code in (_EOI, _SOI):
        raise ImageError("a damaged JPEG: it ends or starts anew before any picture data")
    if position + 2 + length > len(data):
        raise _cut_short(len(data))
    if length < 2:
        raise ImageError(f"a damaged JPEG: the segment at byte {position} says it has {length} bytes")


def _header(data: bytes, frame: int, orientation: int, restarts: bool, body: int, pages: int) -> Header:
    _, code, length = _segment(data, frame)
    if length < 8:
        raise ImageError(f"a damaged JPEG: the frame header has {length} bytes")
    precision, height, width, components = _frame(data, frame + 4)
    if not 1 <= components <= 4 or length < 8 + 3 * components:
        raise ImageError(f"a damaged JPEG: it says it has {components} colour components")
    if height == 0 and data.find(_LINES, body) >= 0:
        raise ImageError(
            "a JPEG that states its height after its data (a DNL marker), which no decoder here reads: "
            "write it anew with a program that reads it",
            code="unsupported",
        )
    kind = "" if precision == 8 and code <= _PROGRESSIVE else _kind(code, precision)
    factors = data[frame + 11 : frame + 10 + 3 * components : 3]
    sampling = tuple([_NIBBLES[factor] for factor in factors])
    return Header(
        "jpeg", width, height, orientation, components, precision, code != _BASELINE, sampling, restarts, body, kind,
        pages=pages,
    )  # fmt: skip


def _kind(code: int, precision: int) -> str:
    """What is rare about a frame, in words."""
    words = ["lossless"] if code & 3 == 3 else []
    if code & 7 >= 5:
        words.append("hierarchical")
    if code >= 0xC9:
        words.append("arithmetic-coded")
    return ", ".join([*words, *([f"{precision}-bit"] if precision != 8 else [])])


#: Byte to (high nibble, low nibble).
_NIBBLES = tuple((byte >> 4, byte & 15) for byte in range(256))


def _next_marker(data: bytes, position: int) -> int:
    """The next 0xFF before a marker code; junk between segments is skipped, as libjpeg does."""
    found = data.find(b"\xff", position)
    while found >= 0 and data[found + 1 : found + 2] in (b"\0", b"\xff"):
        found = data.find(b"\xff", found + 1)
    if found < 0:
        raise _cut_short(len(data))
    return found


def _cut_short(size: int) -> ImageError:
    return ImageError(f"a JPEG cut short: it ends after {size} bytes without an end-of-image marker", code="truncated")
