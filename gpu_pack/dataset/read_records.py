"""Reads records at their offsets: one by one from local files, many at once from object stores."""

from __future__ import annotations

import os
import threading
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from gpu_pack.recordio.scanning import read_record

if TYPE_CHECKING:
    from gpu_pack.stores.object_parts import Part
    from gpu_pack.stores.remote_path import RemotePath

#: Asked for at first, where the .idx does not tell where a record ends, or tells of a longer one.
_MOST_BYTES = 4 << 20


class LocalRecords:
    """One open .rec that several threads may read."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._file: BinaryIO = path.open("rb", buffering=0)
        self._size = os.fstat(self._file.fileno()).st_size
        self._lock = threading.Lock()

    def record(self, offset: int) -> bytes:
        """The payload of the record at ``offset``; a FormatError where there is none."""
        return read_record(self._read_at, offset, self._size, self._path).payload

    def _read_at(self, offset: int, count: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._file.fileno(), count, offset)
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
        self._ordered = array("Q", sorted(offsets))

    def part(self, offset: int) -> Part:
        """Where the record at ``offset`` lies, as far as the .idx tells."""
        place = bisect_right(self._ordered, offset)
        end = self._ordered[place] if place < len(self._ordered) else self._size
        return self._part(offset, min(end - offset, _MOST_BYTES))

    def payload(self, part: Part, data: bytes) -> bytes:
        """The payload of the record that begins with ``part``, of which the bytes are given; reads on where it must.

        Raises:
            FormatError: there is no whole record.
            SourceError: it cannot be read.
        """
        return read_record(partial(self._read_at, part.offset, data), part.offset, self._size, str(self._path)).payload

    def _part(self, offset: int, length: int) -> Part:
        from gpu_pack.stores.object_parts import Part

        return Part(self._path, self._etag, offset, min(offset + length, self._size))

    def _read_at(self, begin: int, data: bytes, offset: int, count: int) -> bytes:
        if begin <= offset and offset + count <= begin + len(data):
            return data[offset - begin : offset - begin + count]
        from gpu_pack.stores.object_parts import read_parts

        return read_parts([self._part(offset, count)])[0]


def read_remote(asked: Sequence[tuple[RemoteRecords, int]]) -> list[bytes]:
    """The payloads of records of one file or several, by offsets, in order; errors as of `RemoteRecords.payload`."""
    from gpu_pack.stores.object_parts import read_parts

    parts = [records.part(offset) for records, offset in asked]
    found = zip(asked, parts, read_parts(parts), strict=True)
    return [records.payload(part, data) for (records, _), part, data in found]
