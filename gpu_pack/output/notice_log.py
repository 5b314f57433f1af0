"""The notices about single images of one shard, noted while it is packed, and read back when the run is resumed."""

from __future__ import annotations

import json
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

from gpu_pack.formats.notices import Notice, merge_notices
from gpu_pack.output.line_log import LineLog
from gpu_pack.output.reject_log import ImageName


class NoticeLog:
    """A line ``[code, key, path, count]`` for each notice.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._log = LineLog(path)
        self._noted: list[tuple[str, int, str, int]] = []
        with suppress(ValueError, TypeError):
            for line in self._log.read():
                code, key, name, count = json.loads(line)
                self._noted.append((code, key, name, count))

    def __len__(self) -> int:
        return len(self._noted)

    def open(self, kept: Container[ImageName]) -> None:
        """Keep the notices about these images only, and open the file for more."""
        self._noted = [each for each in self._noted if (each[1], each[2]) in kept]
        self._log.open(map(_line, self._noted))

    def add(self, code: str, image: ImageName, count: int = 1) -> None:
        """Note something about one image, before its record is written."""
        self._noted.append((code, *image, count))
        self._log.add(_line(self._noted[-1]))

    def sync(self) -> None:
        """Make it durable: before a checkpoint vouches for the records."""
        if self._noted:
            self._log.sync()

    def close(self) -> None:
        """Close the file. May be called again."""
        self._log.close()

    def merged(self) -> tuple[Notice, ...]:
        """One notice a code, with the first image as its example."""
        return tuple(merge_notices(Notice(code, count, path) for code, _, path, count in self._noted))


def _line(value: tuple[str, int, str, int]) -> bytes:
    return json.dumps(value).encode() + b"\n"
