"""A .rec file that is read forward, in bounded memory, and hashed on the way."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from gpu_pack.errors import FormatError, SourceError
from gpu_pack.recordio.framing import MAGIC
from gpu_pack.tools.faults import unreadable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: Reads that one record may take: two a part, and real images have one part, or a few.
_MAX_READS = 200_000
_BLOCK = 4 << 20
_HEADS = 4 << 10
_SLACK = 64 << 10


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
