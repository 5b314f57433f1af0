"""The RecordIO protocol without files: framing, the image header, and a scanner over "give me n bytes at offset".

A record on disk is one part or several. A part is the magic number 0xced7230a, a 32-bit ``cflag << 29 | length`` (both
little-endian), ``length`` bytes, and zeros up to a multiple of four. A magic number inside a payload, at a multiple of
four from the payload's start, is left out and splits the record there: the parts carry cflag 1 (first), 2 (middle) and
3 (last), a whole record carries 0, and a reader puts the magic number back between the parts. The payload of an image
record begins with a header of 24 bytes, struct ``<IfQQ``: flag, label, id, id2. One label: flag 0. Several: flag n,
label 0, and n float32 values before the image's bytes.

Source: dmlc-core's RecordIOWriter and RecordIOReader, MXNet 1.9.1's recordio.py.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

from gpu_pack.errors import FormatError

MAGIC = 0xCED7230A
MAGIC_BYTES = MAGIC.to_bytes(4, "little")
#: Size in bytes of an image record's header, without the further labels.
HEADER_SIZE = 24
#: A record's payload is smaller than this.
MAX_RECORD = 1 << 29

#: ``read_at(offset, n)``: n bytes of a file, fewer only where the file ends.
ReadAt = Callable[[int, int], bytes]

_PART = struct.Struct("<II")
_HEADER = struct.Struct("<IfQQ")
_IMAGE = struct.Struct("<IIIfQQ")  # one part's head and the image header, in one go
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")  # by length % 4
_LENGTH_MASK = MAX_RECORD - 1
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)


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


def frame(payload: bytes) -> bytes:
    """The bytes of a whole record, split where the payload holds aligned magic numbers.

    Raises:
        FormatError: the payload has 2^29 bytes or more.
    """
    size = len(payload)
    _check_size(size)
    cuts = _aligned_magics(payload)
    if not cuts:
        return b"".join((_PART.pack(MAGIC, size), payload, _PADDING[size & 3]))
    pieces: list[bytes] = []
    begin = 0
    for cut in cuts:
        pieces += (_PART.pack(MAGIC, (_MIDDLE if begin else _FIRST) << 29 | cut - begin), payload[begin:cut])
        begin = cut + 4
    pieces += (_PART.pack(MAGIC, _LAST << 29 | size - begin), payload[begin:], _PADDING[size & 3])
    return b"".join(pieces)


def frame_image(key: int, labels: Sequence[float], data: bytes) -> bytes:
    """A whole framed image record: what ``frame(pack(IRHeader(0, labels, key, 0), data))`` gives, faster.

    Raises:
        FormatError: no label, a key or label that the header cannot hold, a header that would carry a magic number
            (DALI's parser takes that for a split), or 2^29 bytes or more.
    """
    count = len(labels)
    size = HEADER_SIZE + len(data) + (4 * count if count > 1 else 0)
    _check_size(size)
    if count == 1:
        head = _pack(_IMAGE, key, MAGIC, size, 0, labels[0], key, 0)
        further = b""
    else:
        head = _pack(_IMAGE, key, MAGIC, size, count, 0.0, key, 0)
        further = _pack_labels(key, labels)
    if head.find(MAGIC_BYTES, 4) >= 0 and _aligned_magics(head[8:]):
        raise FormatError(
            f"key {key}, label {labels[0]}: the record's header would hold the magic number 0xced7230a, which readers "
            "mistake for the end of the record; use another key"
        )
    # Header and labels fill whole words, so that what is aligned in the parts is aligned in the payload.
    if _aligned_magics(data) or (further and _aligned_magics(further)):
        return frame(head[8:] + further + data)
    return b"".join((head, further, data, _PADDING[size & 3]))


def header_carries_magic(key: int, labels: Sequence[float] = (0.0,)) -> bool:
    """Whether an image record's header would hold an aligned magic number, so that `frame_image` refuses it.

    So it is for keys whose low or high 32 bits are 3470205706, and for the single label with those bits.

    Raises:
        FormatError: a key or label that the header cannot hold.
    """
    label = labels[0] if len(labels) == 1 else 0.0
    return bool(_aligned_magics(_pack(_HEADER, key, 0, label, key, 0)))


def pack_header(flag: int, label: float, key: int, id2: int) -> bytes:
    """The 24 bytes of an image header.

    Raises:
        FormatError: a value out of range.
    """
    return _pack(_HEADER, key, flag, label, key, id2)


def unpack_header(payload: bytes) -> tuple[int, float, int, int]:
    """``(flag, label, id, id2)`` of an image record's payload, or of as much of it as begins with the header.

    Raises:
        FormatError: under 24 bytes.
    """
    if len(payload) < HEADER_SIZE:
        raise FormatError(f"no image record: {len(payload)} bytes, and its header alone has {HEADER_SIZE}")
    return _HEADER.unpack_from(payload)


def read_record(read_at: ReadAt, offset: int, size: int, path: str | None = None) -> Record:
    """The record at ``offset`` of a file of ``size`` bytes.

    Raises:
        FormatError: no whole record lies there.
    """
    joined = bytearray()
    end = offset
    for cflag, begin, length, end in _parts(read_at, offset, size, path):
        data = _exactly(read_at, begin, length, path)
        if cflag == _WHOLE:
            return Record(offset, end - offset, data)
        if cflag != _FIRST:
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
        if cflag in (_MIDDLE, _LAST):
            start += MAGIC_BYTES
            total += 4
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
    size, read_at = _size(file), reader(file)
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
    size, read_at = _size(file), reader(file)
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
    joined, allowed = 0, (_WHOLE, _FIRST)
    while True:
        magic, word = _PART.unpack(_exactly(read_at, offset, 8, path))
        if magic != MAGIC:
            raise FormatError("no record begins here: its magic number 0xced7230a is missing", path, offset)
        cflag, length = word >> 29, word & _LENGTH_MASK
        if cflag not in allowed:
            wanted = " or ".join(map(str, allowed))
            raise FormatError(f"damaged record: its part carries the flag {cflag}, not {wanted}", path, offset)
        end = offset + 8 + (length + 3 & ~3)
        if end > size:
            raise FormatError(f"the record is cut short: it needs {end - size} bytes more", path, offset)
        if length & 3 and cflag in (_FIRST, _MIDDLE):
            raise FormatError(f"damaged record: a part of {length} bytes before a split", path, offset)
        joined += length + (4 if cflag in (_MIDDLE, _LAST) else 0)
        if joined >= MAX_RECORD:
            raise FormatError("damaged record: its parts join to 2^29 bytes or more", path, offset)
        yield cflag, offset + 8, length, end
        if cflag in (_WHOLE, _LAST):
            return
        offset, allowed = end, (_MIDDLE, _LAST)


def _exactly(read_at: ReadAt, offset: int, count: int, path: str | None) -> bytes:
    data = read_at(offset, count)
    if len(data) < count:
        raise FormatError(f"the record is cut short: it needs {count - len(data)} bytes more", path, offset)
    return data


def _header_end(start: bytearray) -> int:
    """Where header and labels of a payload end, as far as its first bytes tell."""
    return HEADER_SIZE + 4 * _HEADER.unpack_from(start)[0] if len(start) >= HEADER_SIZE else HEADER_SIZE


def _header_info(offset: int, length: int, start: bytes, total: int, path: str | None) -> HeaderInfo:
    """From the first bytes of a payload of ``total`` bytes: the header and, where there are several, the labels."""
    if total < HEADER_SIZE:
        raise FormatError(f"no image record: {total} bytes, and its header alone has {HEADER_SIZE}", path, offset)
    flag, label, key, id2 = _HEADER.unpack_from(start)
    data_size = total - HEADER_SIZE - 4 * flag
    if data_size < 0:
        raise FormatError(f"no image record: it claims {flag} labels in {total} bytes", path, offset)
    labels = struct.unpack_from(f"<{flag}f", start, HEADER_SIZE) if flag else (label,)
    return HeaderInfo(offset, length, key, id2, labels, data_size)


def _aligned_magics(data: bytes) -> list[int]:
    """Where magic numbers lie at multiples of four."""
    if len(data) > 2048 and not _numpy_sees_magic(data):
        return []
    found = []
    position = data.find(MAGIC_BYTES)
    while position >= 0:
        if position & 3 == 0:
            found.append(position)
        position = data.find(MAGIC_BYTES, position + 4 - (position & 3))
    return found


def _numpy_sees_magic(data: bytes) -> bool:
    """Whether an aligned magic number may be there: a sixth of find's time for 25 KB, and without the GIL.

    Framing does not import NumPy for it, but a run that packs images has it anyway. True where nobody looked.
    """
    np = sys.modules.get("numpy")
    if np is None or not hasattr(np, "frombuffer") or not hasattr(np, "count_nonzero"):  # or half imported
        return True
    return bool(np.count_nonzero(np.frombuffer(data, "<u4", len(data) >> 2) == MAGIC))


def _pack(layout: struct.Struct, key: int, *values: float) -> bytes:
    try:
        return layout.pack(*values)
    except (struct.error, OverflowError, TypeError, ValueError) as error:
        raise FormatError(
            f"key {key}: no image header holds flag, label, id, id2 = {', '.join(map(str, values[-4:]))}: "
            f"the label is a float32, the others are whole numbers from 0 ({error})"
        ) from None


def _pack_labels(key: int, labels: Sequence[float]) -> bytes:
    if not labels:
        raise FormatError(f"key {key}: an image record needs at least one label")
    try:
        return struct.pack(f"<{len(labels)}f", *labels)
    except (struct.error, OverflowError, TypeError, ValueError) as error:
        raise FormatError(f"key {key}: the labels {list(labels)[:8]} do not all fit float32 ({error})") from None


def _check_size(size: int) -> None:
    if size >= MAX_RECORD:
        raise FormatError(f"a record of {size} bytes: RecordIO holds less than {MAX_RECORD} (2^29) in one record")


def _size(file: BinaryIO) -> int:
    return file.seek(0, 2)
