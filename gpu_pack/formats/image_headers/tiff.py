"""TIFF 6.0 and BigTIFF: the first directory, and where its strips or tiles lie."""

from __future__ import annotations

import struct
from typing import NamedTuple

from gpu_pack.formats.image_headers.model import Header, ImageError

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLES, _EXTRA = 256, 257, 258, 262, 274, 277, 338
_STRIP_OFFSETS, _STRIP_COUNTS, _TILE_OFFSETS, _TILE_COUNTS = 273, 279, 324, 325
_JPEG_OFFSET = 513
#: A value of the photometric interpretation.
_CMYK = 5
#: NewSubfileType, and its bits for reduced pictures and masks.
_SUBFILE, _NO_PAGE = 254, 0b101
_MOST_PAGES = 10_000
#: Field type to struct code: BYTE, SHORT, LONG, their signed kin, and BigTIFF's LONG8. Others are no counts or offsets.
_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
#: The last of the tags that decoders need (JPEGTables); above it are descriptions and private matters.
_LAST_NEEDED = 347


class _Layout(NamedTuple):
    """Byte order, and the field widths that differ between TIFF and BigTIFF."""

    order: str
    entries: str
    entry: str
    inline: int
    offset: str


_Directory = dict[int, tuple[int, ...]]
_PICTURE = (_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLES, _EXTRA)
_PLACES = (_STRIP_OFFSETS, _STRIP_COUNTS, _TILE_OFFSETS, _TILE_COUNTS, _JPEG_OFFSET)
_USED = frozenset((*_PICTURE, *_PLACES))
#: More strips than any picture has that OpenCV decodes.
_MOST_VALUES = 1 << 22


def read(data: bytes) -> Header:
    """Size, depth and orientation of a TIFF's first picture, the one that OpenCV decodes."""
    directory = _directory(data)
    if _WIDTH not in directory or _HEIGHT not in directory:
        raise ImageError("a damaged TIFF: its first directory does not say how large the picture is")
    turned = directory.get(_ORIENTATION, (1,))[0]
    return Header(
        "tiff",
        directory[_WIDTH][0],
        directory[_HEIGHT][0],
        turned if 1 <= turned <= 8 else 1,
        directory.get(_SAMPLES, (1,))[0],
        directory.get(_BITS, (1,))[0],
        alpha=directory.get(_SAMPLES, (1,))[0] in (2, 4) and directory.get(_PHOTOMETRIC, (1,))[0] != _CMYK,
        pages=_pages(data),
        premultiplied=directory.get(_EXTRA, (0,))[0] in (1, 2) and directory.get(_BITS, (1,))[0] == 8,
    )


def check(data: bytes, header: Header) -> None:
    """Check that every strip or tile of the first picture lies within the file."""
    directory = _directory(data)
    for offsets_tag, counts_tag in ((_STRIP_OFFSETS, _STRIP_COUNTS), (_TILE_OFFSETS, _TILE_COUNTS)):
        offsets = directory.get(offsets_tag)
        if offsets:
            counts = directory.get(counts_tag, ())
            ends = map(sum, zip(offsets, counts, strict=False)) if counts else iter(offsets)
            end = max(ends)
            if end > len(data):
                raise ImageError(
                    f"a TIFF cut short: its pixels go on to byte {end}, the file has {len(data)}", code="truncated"
                )
            return
    if _JPEG_OFFSET not in directory:
        raise ImageError("a damaged TIFF: its first directory points to no picture data")


def _pages(data: bytes) -> int:
    """Directories in the file that hold pictures; reduced ones and masks do not count."""
    layout, position = _start(data)
    head, entry = struct.Struct(layout.order + layout.entries), struct.Struct(layout.order + layout.entry)
    seen: set[int] = set()
    pages = 0
    while 8 <= position <= len(data) - head.size and position not in seen and len(seen) < _MOST_PAGES:
        seen.add(position)
        (entries,) = head.unpack_from(data, position)
        first = position + head.size
        end = first + entries * (entry.size + layout.inline)
        if not entries or end + layout.inline > len(data):
            break
        tag, _, _ = entry.unpack_from(data, first)  # they are sorted, and this is the lowest tag
        kind = struct.unpack_from(layout.order + "I", data, first + entry.size)[0] if tag == _SUBFILE else 0
        pages += not kind & _NO_PAGE
        (position,) = struct.unpack_from(layout.order + layout.offset, data, end)
    return max(pages, 1)


def _directory(data: bytes) -> _Directory:
    """The used fields of the first directory. No other is read, so circular directories do no harm."""
    layout, position = _start(data)
    head = struct.Struct(layout.order + layout.entries)
    entry = struct.Struct(layout.order + layout.entry)
    if position < 8 or position + head.size > len(data):
        raise ImageError(
            f"a TIFF cut short: its directory lies at byte {position}, the file has {len(data)}", code="truncated"
        )
    (entries,) = head.unpack_from(data, position)
    position += head.size
    if position + entries * (entry.size + layout.inline) > len(data):
        raise ImageError(
            f"a TIFF cut short: its directory of {entries} fields goes on beyond the end of the file", code="truncated"
        )
    fields: _Directory = {}
    for start in range(position, position + entries * (entry.size + layout.inline), entry.size + layout.inline):
        tag, kind, count = entry.unpack_from(data, start)
        if kind in _CODES and count and tag not in fields and (tag in _USED or tag <= _LAST_NEEDED):
            where = _place(data, layout, kind, count, start + entry.size, tag)
            if tag in _USED:
                fields[tag] = struct.unpack_from(f"{layout.order}{count}{_CODES[kind]}", data, where)
    return fields


def _place(data: bytes, layout: _Layout, kind: int, count: int, position: int, tag: int) -> int:
    """Where a field's values are: in the field itself where they fit, else where it points."""
    size = struct.calcsize("<" + _CODES[kind]) * count
    if size > layout.inline:
        (position,) = struct.unpack_from(layout.order + layout.offset, data, position)
    if position + size > len(data):
        raise ImageError(
            f"a TIFF cut short: the values of its field {tag} lie beyond the end of the file", code="truncated"
        )
    if count > _MOST_VALUES and tag in _USED:
        raise ImageError(f"a damaged TIFF: its field {tag} says it has {count} values")
    return position


def _start(data: bytes) -> tuple[_Layout, int]:
    """The file's layout, and where its first directory is."""
    order = "<" if data[:2] == b"II" else ">"
    if len(data) < 16:
        raise ImageError(f"a TIFF cut short: it has only {len(data)} bytes", code="truncated")
    if data[2:4] in (b"+\0", b"\0+"):
        return _Layout(order, "Q", "HHQ", 8, "Q"), struct.unpack_from(order + "Q", data, 8)[0]
    return _Layout(order, "H", "HHI", 4, "I"), struct.unpack_from(order + "I", data, 4)[0]
