"""A .rec file that is read forward in bounded memory."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from gpu_pack.errors import SourceError
from gpu_pack.formats.published_file import FileHash, PublishedFile
from gpu_pack.recordio.scanning import ReadAt, reader
from gpu_pack.recordio.searched_file import MAX_READS, SearchedFile
from gpu_pack.stores.data_path import DataPath
from gpu_pack.tools.faults import unreadable

_BLOCK, _HEADER_BLOCK = 4 << 20, 4 << 10


class RecFile(SearchedFile):
    """A .rec file, for one thread.

    Args:
        path: of the file; from an object store, it is streamed.
        whole: whole records will be read; otherwise headers, and little is read ahead.
        hashed: compute hashes along with reading, see `FileHash` for the lengths: of a local file block by block, which
            the system's cache still has; of another one as its bytes come, since reading them again may be a request.
        max_reads: see `MAX_READS`.

    Raises:
        SourceError: the file does not exist, is not a plain file, or cannot be read.
    """

    def __init__(
        self, path: DataPath, *, whole: bool, hashed: Sequence[int] | None = None, max_reads: int = MAX_READS
    ) -> None:
        self.path = path
        self._hash = FileHash(hashed) if hashed is not None else None
        self._hashed = 0
        self._read_from: ReadAt
        self._close: Callable[[None, None, None], object]
        self._descriptor: int | None = None
        try:
            if isinstance(path, Path):
                size = self._open_local(path, _BLOCK if whole else _HEADER_BLOCK)
            else:
                blocks = path.open_blocks()
                self._read_from, self._close, size = blocks.read_at, blocks.__exit__, blocks.stat.size
        except (OSError, ValueError) as error:
            raise unreadable(path, error if isinstance(error, OSError) else OSError(str(error))) from error
        as_it_comes = hashed is not None and self._descriptor is None
        super().__init__(self._read_and_hash if as_it_comes else self._read_block, size, max_reads)

    def _open_local(self, path: Path, buffering: int) -> int:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a FIFO would wait for a writer
            raise SourceError(f"{path}: not a plain file")
        file = open(path, "rb", buffering=buffering)  # noqa: SIM115
        self._read_from, self._close, self._descriptor = reader(file), file.__exit__, file.fileno()
        return os.fstat(self._descriptor).st_size

    def __enter__(self) -> RecFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._close(None, None, None)

    def expect(self, spans: Iterable[tuple[int, int]]) -> None:
        """Say what will be read next, as offsets and lengths in that order: an object store is asked for many at once.

        Whatever else is read then costs a request each.
        """
        if not isinstance(self.path, Path):
            self._close(None, None, None)
            expected = self.path.open_spans()
            expected.expect(spans)
            self._read_from, self._close = expected.read_at, expected.__exit__

    def begin_record(self, offset: int) -> None:
        """See `SearchedFile.begin_record`."""
        super().begin_record(offset)
        if self._hash is not None and offset - self._hashed >= (1 if self._descriptor is None else _BLOCK):
            self._hash_to(offset)

    def published(self) -> PublishedFile:
        """Size and hashes of the whole file; once, for a file that is ``hashed``."""
        assert self._hash is not None
        self._hash_to(self.size)
        return self._hash.published()

    def _next_data(self, start: int) -> int:
        """Skip a hole, if the system knows of holes: a sparse file may claim terabytes that are not on the disk."""
        file = self._descriptor
        if file is None or not hasattr(os, "SEEK_DATA"):
            return start
        position = os.lseek(file, 0, os.SEEK_CUR)  # where the buffered file expects it
        try:
            return max(start, os.lseek(file, start, os.SEEK_DATA) & ~3)
        except OSError as error:
            return self.size if error.errno == errno.ENXIO else start
        finally:
            os.lseek(file, position, os.SEEK_SET)

    def _hash_to(self, offset: int) -> None:
        assert self._hash is not None
        while self._hashed < offset and (block := self._read_block(self._hashed, min(_BLOCK, offset - self._hashed))):
            self._hash.update(block)
            self._hashed += len(block)

    def _read_block(self, offset: int, count: int) -> bytes:
        try:
            return self._read_from(offset, count)
        except OSError as error:
            raise unreadable(self.path, error) from error

    def _read_and_hash(self, offset: int, count: int) -> bytes:
        data = self._read_from(offset, count)
        if offset <= self._hashed < offset + len(data):
            assert self._hash is not None
            self._hash.update(memoryview(data)[self._hashed - offset :])
            self._hashed = offset + len(data)
        return data
