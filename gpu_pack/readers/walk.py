"""Every record of a .rec from its beginning to its end, over damage and all.

After something that is no whole record, the walk goes on at the next magic number at a multiple of four bytes from
which a whole record follows. Files made to waste time are given up: what a walk may spend on false starts is bounded.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from gpu_pack.errors import FormatError, SourceError
from gpu_pack.framing import MAGIC, MAX_RECORD
from gpu_pack.readers.faults import unreadable
from gpu_pack.scanning import HeaderInfo, read_header, read_record

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: Labels a record; each becomes a Python number where headers are read.
MAX_LABELS = 1 << 20
#: Reads that may go into places where no record begins after all.
_MAX_WASTED = 1_000_000
#: Reads that one record may take: two a part, and real images have one part, or a few.
_MAX_READS = 200_000
_BLOCK = 4 << 20
_HEADS = 4 << 10
_SLACK = 64 << 10


class Found(NamedTuple):
    """A whole record.

    Attributes:
        offset, length: as in `gpu_pack.scanning.Record`.
        info: its header; None for a record that is none of an image, where those are taken too.
        payload: header, labels and image; None where the walk goes without.
    """

    offset: int
    length: int
    info: HeaderInfo | None
    payload: bytes | None


class Damage(NamedTuple):
    """Bytes from ``offset`` to before ``end`` in which no whole image record lies."""

    offset: int
    end: int
    reason: str


class RecFile:
    """A .rec that is read forward, through a window, and hashed on the way. For one thread.

    Args:
        path: of the file.
        whole: the records will be read with their images; otherwise only heads are, and the window is small.
        hashed: take the sha256.

    Raises:
        SourceError: not there, not a plain file, or unreadable.
    """

    def __init__(self, path: Path, *, whole: bool, hashed: bool = False) -> None:
        self.path = path
        self.reads = self._limit = 0
        self._window, self._start = b"", 0
        self._block = _BLOCK if whole else _HEADS
        self._sha256 = hashlib.sha256() if hashed else None
        self._hashed = 0
        self._magics: npt.NDArray[np.int64] | None = None
        self._searched = range(0)
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):  # opening a FIFO would wait for a writer
                raise SourceError(f"{path}: not a plain file")
            self._file = open(path, "rb", buffering=0)  # noqa: SIM115
            self.size = os.fstat(self._file.fileno()).st_size
        except (OSError, ValueError) as error:
            raise unreadable(path, error if isinstance(error, OSError) else OSError(str(error))) from error

    def __enter__(self) -> RecFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def advance(self, offset: int) -> None:
        """Move the window so that the records from ``offset`` on lie in it."""
        end = self._start + len(self._window)
        if offset < self._start or (offset + min(_SLACK, self._block // 2) > end and end < self.size):
            self._start, self._window = offset, self._read(offset, self._block)
            if self._sha256 is not None:
                self._hash_until(offset)
                fresh = max(self._hashed - offset, 0)
                self._sha256.update(memoryview(self._window)[fresh:])
                self._hashed = max(self._hashed, offset + len(self._window))

    def read_at(self, offset: int, count: int) -> bytes:
        """``count`` bytes from ``offset`` on, fewer only where the file ends.

        Raises:
            FormatError: the record takes more calls than `begin_record` allowed.
            SourceError: the file cannot be read.
        """
        self.reads += 1
        if self.reads > self._limit:
            raise FormatError(f"the record has over {_MAX_READS // 2} parts, which no image has")
        begin = offset - self._start
        if begin >= 0 and begin + count <= len(self._window):
            return self._window[begin : begin + count]
        return self._read(offset, count)

    def begin_record(self) -> None:
        """Allow `read_at` as many calls as any record of an image needs."""
        self._limit = self.reads + _MAX_READS

    def sha256(self) -> str:
        """Of the whole file, in hexadecimal; for a file that is ``hashed``."""
        assert self._sha256 is not None
        self._hash_until(self.size)
        return self._sha256.hexdigest()

    def next_magic(self, start: int) -> int:
        """Where the next magic number lies from ``start`` on, at a multiple of four; the file's size if none does."""
        import numpy as np

        start += -start % 4
        while start < self.size:
            if self._magics is None or start not in self._searched:
                start = self._next_data(start)
                block = self._read(start, _BLOCK)
                self._searched = range(start, start + max(len(block), 4))
                self._magics = np.flatnonzero(np.frombuffer(block, "<u4", len(block) // 4) == MAGIC) * 4 + start
            found = int(np.searchsorted(self._magics, start))
            if found < len(self._magics):
                return int(self._magics[found])
            start = self._searched.stop + -self._searched.stop % 4
        return self.size

    def _next_data(self, start: int) -> int:
        """Past a hole, where the system knows of holes: a file may claim terabytes and have no block on the disk."""
        if not hasattr(os, "SEEK_DATA"):
            return start
        try:
            return max(start, os.lseek(self._file.fileno(), start, os.SEEK_DATA) & ~3)
        except OSError as error:
            return self.size if error.errno == errno.ENXIO else start

    def _hash_until(self, offset: int) -> None:
        assert self._sha256 is not None
        while self._hashed < offset:
            block = self._read(self._hashed, min(_BLOCK, offset - self._hashed))
            if not block:
                return
            self._sha256.update(block)
            self._hashed += len(block)

    def _read(self, offset: int, count: int) -> bytes:
        """Unbuffered reads may bring less than was asked for (never over 2 GiB at once on Linux)."""
        try:
            self._file.seek(offset)
            data = self._file.read(count) or b""
            while len(data) < count and (more := self._file.read(count - len(data))):
                data += more
        except OSError as error:
            raise unreadable(self.path, error) from error
        return data


def walk(file: RecFile, *, payloads: bool, any_record: bool = False) -> Iterator[Found | Damage]:
    """Every whole image record, and what lies between them, in the file's order.

    Args:
        file: at whichever place.
        payloads: give each record's payload too.
        any_record: take records that are none of images as well.

    Raises:
        SourceError: the file cannot be read on.
    """
    offset = wasted = 0
    while offset < file.size:
        file.advance(offset)
        before = file.reads
        try:
            found = _record(file, offset, payloads, any_record)
        except FormatError as error:
            reason = _reason(error, offset)
            end, wasted = _resume(file, offset, any_record, wasted + file.reads - before + 1)
            if wasted > _MAX_WASTED:
                yield Damage(offset, file.size, f"{reason}; with so many false starts, the rest was not looked at")
                return
            yield Damage(offset, end, reason)
            offset = end
            continue
        yield found
        offset += found.length


def _resume(file: RecFile, damaged: int, any_record: bool, wasted: int) -> tuple[int, int]:
    """Where the next whole record begins after ``damaged``, or the file ends; and the reads spent so far."""
    offset = damaged
    while wasted <= _MAX_WASTED:
        offset = file.next_magic(offset + 4)
        if offset >= file.size:
            break
        before = file.reads
        try:
            _record(file, offset, False, any_record)
            break
        except FormatError:
            wasted += file.reads - before + 1
    return offset, wasted


def _record(file: RecFile, offset: int, payload: bool, any_record: bool) -> Found:
    file.begin_record()
    try:
        # Heads first: a false start that claims 400 MB must not be read to be refused.
        _check_label_count(file, offset)
        info = read_header(file.read_at, offset, file.size)
    except FormatError:
        if not any_record:
            raise
        record = read_record(file.read_at, offset, file.size)
        return Found(offset, record.length, None, record.payload if payload else None)
    data = read_record(file.read_at, offset, file.size).payload if payload else None
    return Found(offset, info.length, info, data)


def _check_label_count(file: RecFile, offset: int) -> None:
    """Before millions of labels are read: the count is the payload's first word (a damaged one is left to others)."""
    head = file.read_at(offset, 12)
    magic, word, count = (int.from_bytes(head[at : at + 4], "little") for at in (0, 4, 8))
    if magic == MAGIC and MAX_LABELS < count <= (word & MAX_RECORD - 1) // 4:
        raise FormatError(f"no image record: it claims {count} labels, and over {MAX_LABELS} are refused")


def _reason(error: FormatError, offset: int) -> str:
    inner = error.offset is not None and error.offset != offset
    return f"{error.reason} (at byte {error.offset})" if inner else error.reason
