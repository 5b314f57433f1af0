"""A file that grows by whole lines, each written at once, so that a killed run leaves all but the last."""

from __future__ import annotations

from collections.abc import Iterable
from io import FileIO
from pathlib import Path

from gpu_pack.stores.atomic_file import sync_file, unwritable, write_atomically


class LineLog:
    """Lines of bytes, without their line break in `read` and with it elsewhere.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None

    def read(self) -> list[bytes]:
        """The whole lines that an interrupted run left."""
        try:
            return self._path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []

    def open(self, lines: Iterable[bytes]) -> None:
        """Replace the file by these lines, and open it for more."""
        write_atomically(self._path, b"".join(lines))
        try:
            self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            raise unwritable(self._path, error) from error

    def add(self, line: bytes) -> None:
        """Write one line. The system may take a part of it, as on a disk that is nearly full."""
        assert self._file is not None
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise unwritable(self._path, error) from error

    def sync(self) -> None:
        """Make it durable. Does nothing once it is closed."""
        if self._file is None:
            return
        try:
            sync_file(self._file.fileno())
        except OSError as error:
            raise unwritable(self._path, error) from error

    def close(self) -> None:
        """Close the file. May be called again."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
