"""An open file of a store as a Python file object."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from gpu_pack.stores.store import OpenFile

if TYPE_CHECKING:
    from typing_extensions import Buffer


class FileReader(io.RawIOBase):
    """Reads an `OpenFile`, which it closes.

    Raises:
        SourceError: the file cannot be read.
    """

    def __init__(self, file: OpenFile) -> None:
        super().__init__()
        self._file, self._position = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Up to ``size`` bytes, fewer only at the end; the rest of the file for -1."""
        rest = max(0, self._file.stat.size - self._position)
        data = self._file.read_at(self._position, rest if size is None or size < 0 else min(size, rest))
        self._position += len(data)
        return data

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._file.stat.size}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        if not self.closed:
            self._file.__exit__(None, None, None)
        super().close()
