"""Records out of a file: whole ones, or their headers alone, in bounded memory.

Everything reads through ``read_at(offset, n)``. Whatever the bytes are, the answer is a record or a FormatError.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

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

#: More labels than this are taken for damage: as Python numbers they would take gigabytes.
MAX_LABELS = 1 << 20
#: ``read_at(offset, n)``: n bytes of a file, fewer only where the file ends.
ReadAt = Callable[[int, int], bytes]


class Record(NamedTuple):
    """A record as it lies in a file.

    Attributes:
        offset: of its first magic number, in bytes.
        length: on disk, in bytes: heads and padding included; the next record begins at ``end``.
        payload: what was written, with the magic numbers that split it put back.
    """

    offset: int
    length: int
    payload: bytes

    @property
    def end(self) -> int:
        return self.offset + self.length


class HeaderInfo(NamedTuple):
    """What an image record says of itself, without its image.

    Attributes:
        offset, length: as in `Record`.
        key, id2: the header's id (the .lst key) and id2.
        labels: one or more, as float32 holds them.
        data_size: of the image, in bytes.
    """

    offset: int
    length: int
    key: int
    id2: int
    labels: tuple[float, ...]
    data_size: int

    @property
    def end(self) -> int:
        return self.offset + self.length


def read_record(read_at: ReadAt, offset: int, size: int, path: str | None = None) -> Record:
    """The record at ``offset`` of a file of ``size`` bytes.

    Raises:
        FormatError: no whole record lies there.
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


def read_header(read_at: ReadAt, offset: int, size: int, path: str | None = None) -> HeaderInfo:
    """The header of the image record at ``offset``; of the image only the size is looked at, in every part.

    Raises:
        FormatError: no whole record lies there, or one that is no image record.
    """
    start, total, after = bytearray(), 0, offset
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
    return _header_info(offset, after - offset, bytes(start), total, path)


def scan(file: BinaryIO, path: str | None = None, *, start: int = 0) -> Iterator[Record]:
    """Every record of a buffered, seekable file from ``start`` on, one in memory at a time.

    After a FormatError, everything up to the ``end`` of the last record that came is whole.

    Raises:
        FormatError: something that is no whole record, with ``path`` and its offset.
    """
    size, read_at = file.seek(0, 2), reader(file)
    offset = start
    while offset < size:
        record = read_record(read_at, offset, size, path)
        yield record
        offset = record.end


def scan_headers(
    file: BinaryIO, path: str | None = None, *, start: int = 0, tolerate_tail: bool = False
) -> Iterator[HeaderInfo]:
    """The header of every image record from ``start`` on, without reading the images: to rebuild an index or resume.

    Args:
        file: buffered and seekable.
        path: for messages.
        start: where a record begins, in bytes.
        tolerate_tail: end where something is no whole image record, instead of raising. Either way everything up to
            the ``end`` of the last header that came is whole.

    Raises:
        FormatError: something that is no whole image record, with ``path`` and its offset.
    """
    size, read_at = file.seek(0, 2), reader(file)
    offset = start
    while offset < size:
        try:
            info = read_header(read_at, offset, size, path)
        except FormatError:
            if tolerate_tail:
                return
            raise
        yield info
        offset = info.end


def reader(file: BinaryIO) -> ReadAt:
    """``read_at`` over a buffered, seekable file."""
    seek, read = file.seek, file.read

    def read_at(offset: int, count: int) -> bytes:
        seek(offset)
        return read(count)

    return read_at


def _parts(read_at: ReadAt, offset: int, size: int, path: str | None) -> Iterator[tuple[int, int, int, int]]:
    """``(cflag, begin, length, end)`` of each part: its payload's place and length, and where the next part begins."""
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
    """Where header and labels of a payload end, as far as its first bytes tell."""
    if len(start) < HEADER_SIZE:
        return HEADER_SIZE
    labels: int = IMAGE_HEADER.unpack_from(start)[0]
    return HEADER_SIZE + (4 * labels if labels <= MAX_LABELS else 0)


def _header_info(offset: int, length: int, start: bytes, total: int, path: str | None) -> HeaderInfo:
    """From the first bytes of a payload of ``total`` bytes: the header and, where there are several, the labels."""
    if total < HEADER_SIZE:
        raise FormatError(f"no image record: {total} bytes, and its header alone has {HEADER_SIZE}", path, offset)
    flag, label, key, id2 = IMAGE_HEADER.unpack_from(start)
    data_size = total - HEADER_SIZE - 4 * flag
    if data_size < 0:
        raise FormatError(f"no image record: it claims {flag} labels in {total} bytes", path, offset)
    if flag > MAX_LABELS:
        raise FormatError(
            f"no image record: it claims {flag} labels, and over {MAX_LABELS} are not believed", path, offset
        )
    labels = struct.unpack_from(f"<{flag}f", start, HEADER_SIZE) if flag else (label,)
    return HeaderInfo(offset, length, key, id2, labels, data_size)
