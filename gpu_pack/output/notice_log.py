"""The notices about single images of one shard, noted while it is packed, and read back when the run is resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Container
from contextlib import suppress
from io import FileIO
from pathlib import Path

from gpu_pack.formats.notices import Notice, merge_notices
from gpu_pack.output.reject_log import ImageName
from gpu_pack.stores.atomic_file import unwritable, write_atomically


class NoticeLog:
    """A line ``[code, key, path, count]`` for each notice.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._noted: list[tuple[str, int, str, int]] = []
        self._file: FileIO | None = None
        with suppress(OSError, ValueError):
            for line in path.read_bytes().split(b"\n")[:-1]:
                code, key, name, count = json.loads(line)
                self._noted.append((code, key, name, count))

    def __len__(self) -> int:
        return len(self._noted)

    def open(self, kept: Container[ImageName]) -> None:
        """Keep the notices about these images only, and open the file for more."""
        self._noted = [each for each in self._noted if (each[1], each[2]) in kept]
        write_atomically(self._path, b"".join(map(_line, self._noted)))
        try:
            self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            raise unwritable(self._path, error) from error

    def add(self, code: str, image: ImageName, count: int = 1) -> None:
        """Note something about one image, before its record is written."""
        self._noted.append((code, *image, count))
        assert self._file is not None
        try:
            self._file.write(_line(self._noted[-1]))
        except OSError as error:
            raise unwritable(self._path, error) from error

    def sync(self) -> None:
        """Make it durable: before a checkpoint vouches for the records."""
        if self._noted and self._file is not None and not self._file.closed:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file. May be called again."""
        if self._file is not None:
            self._file.close()

    def merged(self) -> tuple[Notice, ...]:
        """One notice a code, with the first image as its example."""
        return tuple(merge_notices(Notice(code, count, path) for code, _, path, count in self._noted))


def _line(value: tuple[str, int, str, int]) -> bytes:
    return json.dumps(value).encode() + b"\n"
