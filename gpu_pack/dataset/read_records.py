"""Reads records at their offsets: one by one from local files, many at once from object stores."""

from __future__ import annotations

import os
import struct
import threading
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from operator import ge, le
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from gpu_pack.errors import FormatError
from gpu_pack.recordio import unpack
from gpu_pack.recordio.framing import MAGIC, PART
from gpu_pack.recordio.scanning import ReadAt, read_record

if TYPE_CHECKING:
    from gpu_pack.stores.object_parts import Part
    from gpu_pack.stores.remote_path import RemotePath

#: Asked for at first, where the .idx does not tell where a record ends, or tells of a longer one.
_MOST_BYTES = 4 << 20
#: The same for local files, where the rest costs a call only; an .idx of few records tells of long ones.
_READ_AT_FIRST = 256 << 10
#: Of records of an object store that are asked for together: stores send about as much in the time of a request.
_JOINED_BYTES = 1 << 20
#: Head of a part, and header of an image record.
_IMAGE = struct.Struct("<IIIfQQ")
#: Id, label (a float, or a float32 array of several), and the bytes, from where to where the encoded image lies in
#: them: it is decoded from there, since copying it first takes a hundredth of decoding's time.
ImageRecord = tuple[int, Any, bytes, int, int]
_PREAD: Callable[[int, int, int], bytes] | None = getattr(os, "pread", None)  # not on Windows, which does not fork


class LocalRecords:
    """One open .rec that several threads may read.

    Args:
        offsets: of its records.
    """

    def __init__(self, path: Path, offsets: array[int]) -> None:
        self._path = str(path)
        self._file: BinaryIO = path.open("rb", buffering=0)
        self._number = self._file.fileno()
        self._size = os.fstat(self._number).st_size
        self._offsets, self._ordered = offsets, _ordered(offsets)
        self._lock = threading.Lock()

    def image(self, row: int) -> ImageRecord:
        """A record by its number; a FormatError where there is none."""
        offset = self._offsets[row]
        count = min(self._end(row, offset) - offset, _READ_AT_FIRST)
        data = self._read_at(offset, count if count > 0 else PART.size)
        return _whole(data) or _in_parts(self._read_at, offset, data, self._size, self._path)

    def run(self, rows: Sequence[int]) -> list[ImageRecord]:
        """Several records, which are read at once where they lie one after the other."""
        offsets = [self._offsets[row] for row in rows]
        begin, end = offsets[0], self._end(rows[-1], offsets[-1])
        if len(offsets) == 1 or not 0 < end - begin <= _MOST_BYTES or any(map(ge, offsets, offsets[1:])):
            return list(map(self.image, rows))
        data = self._read_at(begin, end - begin)
        ends = [*offsets[1:], end]
        found = (_whole(data[at - begin : to - begin]) for at, to in zip(offsets, ends, strict=True))
        return [record or self.image(row) for record, row in zip(found, rows, strict=True)]

    def _end(self, row: int, offset: int) -> int:
        """Where the record ends at the latest."""
        if self._ordered is not self._offsets:
            return _end(self._ordered, offset, self._size)
        following = row + 1
        return self._offsets[following] if following < len(self._offsets) else self._size

    def _read_at(self, offset: int, count: int) -> bytes:
        if _PREAD is not None:
            return _PREAD(self._number, count, offset)
        with self._lock:
            self._file.seek(offset)
            return self._file.read(count)

    def close(self) -> None:
        self._file.close()


class RemoteRecords:
    """A .rec in an object store; picklable, and good in every process.

    Args:
        offsets: of its records.
        size: of the file, in bytes.
    """

    def __init__(self, path: RemotePath, offsets: array[int], size: int) -> None:
        self._path, self._size, self._etag = path, size, path.etag()
        self._ordered = _ordered(offsets)

    def part(self, offset: int) -> Part:
        """Where the record at ``offset`` lies, as far as the .idx tells."""
        return self._part(offset, min(_end(self._ordered, offset, self._size) - offset, _MOST_BYTES))

    def image(self, part: Part, data: bytes) -> ImageRecord:
        """The record that begins with ``part``, of which the bytes are given; reads on where it must.

        Raises:
            FormatError: there is no whole image record.
            SourceError: it cannot be read.
        """
        return _whole(data) or _in_parts(self._read_at, part.offset, data, self._size, str(self._path))

    def _part(self, offset: int, length: int) -> Part:
        from gpu_pack.stores.object_parts import Part

        return Part(self._path, self._etag, offset, min(offset + length, self._size))

    def _read_at(self, offset: int, count: int) -> bytes:
        from gpu_pack.stores.object_parts import read_parts

        return read_parts([self._part(offset, count)])[0]


def _whole(data: bytes) -> ImageRecord | None:
    """The record that ``data`` begins with: the common kind, with one label, in one part, and all there; else None."""
    if len(data) < _IMAGE.size:
        return None
    magic, length, flag, label, key, _ = _IMAGE.unpack_from(data)  # whole parts have no flag beside the length
    end = PART.size + length
    if magic != MAGIC or flag or not _IMAGE.size <= end or end + (-length & 3) > len(data):
        return None
    return key, label, data, _IMAGE.size, end


def _in_parts(read_at: ReadAt, offset: int, data: bytes, size: int, path: str) -> ImageRecord:
    """The record at ``offset`` of a file, of which the first bytes are ``data``."""
    payload = read_record(partial(_read_on, read_at, offset, data), offset, size, path).payload
    try:
        header, image = unpack(payload)
    except FormatError as error:
        raise FormatError(error.reason, path, offset) from None
    return header.id, header.label, image, 0, len(image)


def _ordered(offsets: array[int]) -> array[int]:
    return offsets if all(map(le, offsets, islice(offsets, 1, None))) else array("Q", sorted(offsets))


def _end(ordered: array[int], offset: int, size: int) -> int:
    """Where the record at ``offset`` ends at the latest."""
    place = bisect_right(ordered, offset)
    return ordered[place] if place < len(ordered) else size


def _read_on(read_at: ReadAt, begin: int, data: bytes, offset: int, count: int) -> bytes:
    """``count`` bytes at ``offset`` of a file of which the bytes from ``begin`` on are there already."""
    if begin <= offset and offset + count <= begin + len(data):
        return data[offset - begin : offset - begin + count]
    return read_at(offset, count)


def read_remote(asked: Sequence[tuple[RemoteRecords, int]]) -> list[ImageRecord]:
    """Records of one file or several, by offsets, in order; errors as of `RemoteRecords.image`.

    Those that lie one after the other are asked for together.
    """
    from gpu_pack.stores.object_parts import read_parts

    parts = [records.part(offset) for records, offset in asked]
    joined: list[Part] = []
    counts: list[int] = []
    for part in parts:
        last = joined[-1] if joined else None
        if last and part.path == last.path and part.offset == last.end and part.end - last.offset <= _JOINED_BYTES:
            joined[-1] = last._replace(end=part.end)
            counts[-1] += 1
        else:
            joined.append(part)
            counts.append(1)
    found, coming = [], zip(asked, parts, strict=True)
    for whole, count, data in zip(joined, counts, read_parts(joined), strict=True):
        for (records, _), part in islice(coming, count):
            found.append(records.image(part, data[part.offset - whole.offset : part.end - whole.offset]))
    return found
