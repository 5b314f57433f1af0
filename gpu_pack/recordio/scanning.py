"""Read records, or their headers alone, in bounded memory.

Everything reads through ``read_at(offset, n)``. Any bytes give a record or a FormatError.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple, TypeVar

from gpu_pack.errors import FormatError
from gpu_pack.recordio.framing import (
    FIRST,
    HEADER_SIZE,
    IMAGE_HEADER,
    LAST,
    MAGIC,
    MAGIC_BYTES,
    MAX_RECORD,
    MIDDLE,
    PART,
    WHOLE,
)

#: More labels than this count as damage: as Python numbers they would take gigabytes.
MAX_LABELS = 1 << 20
#: ``read_at(offset, n)``: n bytes of a file, fewer only where the file ends.
ReadAt = Callable[[int, int], bytes]


class Record(NamedTuple):
    """A record of a file.

    Attributes:
        offset: of its first magic number, in bytes.
        length: in the file, in bytes, with part heads and padding; the next record begins at ``end``.
        payload: joined from its parts.
    """

    offset: int
    length: int
    payload: bytes

    @property
    def end(self) -> int:
        return self.offset + self.length


class HeaderInfo(NamedTuple):
    """The header of an image record.

    Attributes:
        offset, length: as in `Record`.
        key, id2: the header's id (the .lst key) and id2.
        labels: one or more, as float32 holds them.
        data_size: of the image, in bytes.
        data_offset: where the image lies in one piece, in bytes; None where magic numbers split the record.
    """

    offset: int
    length: int
    key: int
    id2: int
    labels: tuple[float, ...]
    data_size: int
    data_offset: int | None = None

    @property
    def end(self) -> int:
        return self.offset + self.length


_Found = TypeVar("_Found", Record, HeaderInfo)


def read_record(read_at: ReadAt, offset: int, size: int, path: str | None = None) -> Record:
    """The record at ``offset`` of a file of ``size`` bytes.

    Raises:
        FormatError: there is no whole record.
    """
    joined = bytearray()
    end = offset
    for cflag, begin, length, end in _parts(read_at, offset, size, path):
        data = _exactly(read_at, begin, length, path)
        if cflag == WHOLE:
            return Record(offset, end - offset, data)
        if cflag != FIRST:
            joined += MAGIC_BYTES
        joined += data
    return Record(offset, end - offset, bytes(joined))


def read_record_header(read_at: ReadAt, offset: int, size: int, path: str | None = None) -> HeaderInfo:
    """The header of the image record at ``offset``; the image itself is not read.

    Raises:
        FormatError: there is no whole record, or it is not an image record.
    """
    start, total, after, cflag = bytearray(), 0, offset, WHOLE
    for cflag, begin, length, after in _parts(read_at, offset, size, path):  # noqa: B007
        if cflag in (MIDDLE, LAST):
            total += 4
            if len(start) < _header_end(start):
                start += MAGIC_BYTES
        total += length
        while length and (missing := _header_end(start) - len(start)) > 0:
            piece = _exactly(read_at, begin, min(length, missing), path)
            start += piece
            begin, length = begin + len(piece), length - len(piece)
    return _header_info(offset, after - offset, bytes(start), total, cflag == WHOLE, path)


def header_of(record: Record, path: str | None = None) -> HeaderInfo:
    """The header of a record that was read whole.

    Raises:
        FormatError: it is not an image record.
    """
    size = len(record.payload)
    whole = record.length == PART.size + size + -size % 4
    return _header_info(record.offset, record.length, record.payload, size, whole, path)


def scan(file: BinaryIO, path: str | None = None, *, start: int = 0) -> Iterator[Record]:
    """Every record of a buffered, seekable file, one in memory at a time.

    Args:
        file: the file.
        path: for messages.
        start: offset of the first record, in bytes.

    Raises:
        FormatError: no whole record; everything up to the ``end`` of the last one yielded is whole.
    """
    return _scan(read_record, file, path, start)


def scan_headers(file: BinaryIO, path: str | None = None, *, start: int = 0) -> Iterator[HeaderInfo]:
    """The header of every image record, as `scan`; the images are not read.

    Raises:
        FormatError: no whole image record.
    """
    return _scan(read_record_header, file, path, start)


def _scan(
    read: Callable[[ReadAt, int, int, str | None], _Found], file: BinaryIO, path: str | None, start: int
) -> Iterator[_Found]:
    size, read_at = file.seek(0, 2), reader(file)
    while start < size:
        found = read(read_at, start, size, path)
        yield found
        start = found.end


def reader(file: BinaryIO) -> ReadAt:
    """``read_at`` over a buffered, seekable file."""
    seek, read = file.seek, file.read

    def read_at(offset: int, count: int) -> bytes:
        seek(offset)
        return read(count)

    return read_at


def _parts(read_at: ReadAt, offset: int, size: int, path: str | None) -> Iterator[tuple[int, int, int, int]]:
    """``(cflag, begin, length, end)`` of each part: offset and length of its payload, and the next part's offset."""
    joined, allowed = 0, (WHOLE, FIRST)
    while True:
        magic, word = PART.unpack(_exactly(read_at, offset, 8, path))
        if magic != MAGIC:
            raise FormatError("no record begins here: its magic number 0xced7230a is missing", path, offset)
        cflag, length = word >> 29, word & (MAX_RECORD - 1)
        if cflag not in allowed:
            wanted = " or ".join(map(str, allowed))
            raise FormatError(f"damaged record: its part carries the flag {cflag}, not {wanted}", path, offset)
        end = offset + 8 + (length + 3 & ~3)
        if end > size:
            raise FormatError(f"the record is cut short (bytes missing: {end - size})", path, offset)
        if length & 3 and cflag in (FIRST, MIDDLE):
            raise FormatError(f"damaged record: a part of {length} bytes before a split", path, offset)
        joined += length + (4 if cflag in (MIDDLE, LAST) else 0)
        if joined >= MAX_RECORD:
            raise FormatError("damaged record: its parts join to 2^29 bytes or more", path, offset)
        yield cflag, offset + 8, length, end
        if cflag in (WHOLE, LAST):
            return
        offset, allowed = end, (MIDDLE, LAST)


def _exactly(read_at: ReadAt, offset: int, count: int, path: str | None) -> bytes:
    data = read_at(offset, count)
    if len(data) < count:
        raise FormatError(f"the record is cut short (bytes missing: {count - len(data)})", path, offset)
    return data


def _header_end(start: bytearray) -> int:
    """The size of header and labels, as far as the first bytes of a payload tell."""
    if len(start) < HEADER_SIZE:
        return HEADER_SIZE
    labels: int = IMAGE_HEADER.unpack_from(start)[0]
    return HEADER_SIZE + (4 * labels if labels <= MAX_LABELS else 0)


def _header_info(offset: int, length: int, start: bytes, total: int, whole: bool, path: str | None) -> HeaderInfo:
    """From the first bytes of a payload of ``total`` bytes: its header, and its labels if there are several.

    ``whole``: the payload lies in one piece.
    """
    if total < HEADER_SIZE:
        raise FormatError(f"no image record: {total} bytes, and its header alone has {HEADER_SIZE}", path, offset)
    flag, label, key, id2 = IMAGE_HEADER.unpack_from(start)
    data_size = total - HEADER_SIZE - 4 * flag
    if data_size < 0:
        raise FormatError(f"no image record: it claims {flag} labels in {total} bytes", path, offset)
    if flag > MAX_LABELS:
        raise FormatError(f"no image record: it claims {flag} labels, more than {MAX_LABELS}", path, offset)
    labels = struct.unpack_from(f"<{flag}f", start, HEADER_SIZE) if flag else (label,)
    data_offset = offset + PART.size + total - data_size if whole else None
    return HeaderInfo(offset, length, key, id2, labels, data_size, data_offset)
