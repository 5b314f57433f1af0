"""The rejects of one shard, noted one by one while it is packed, and read back when the run is resumed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from gpu_pack.formats.rejects import Reject, reject, reject_line
from gpu_pack.output.line_log import LineLog
from gpu_pack.types import Rejected

#: The key and path of a listed image. im2rec's lists may repeat a key.
ImageName = tuple[int, str]


class RejectLog:
    """A shard's rejects in a file, a line each.

    Attributes:
        rejects: by image; those that an interrupted run noted included.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, path: Path, split: str) -> None:
        self._log, self._split = LineLog(path), split
        self.rejects: dict[ImageName, Reject] = dict(self._read())

    def open(self, kept: Iterable[ImageName]) -> None:
        """Keep the rejects of these images only, and open the file for more."""
        self.rejects = {name: self.rejects[name] for name in kept}
        self._log.open(map(reject_line, self.rejects.values()))

    def add(self, rejected: Rejected) -> None:
        """Note one image, at once."""
        value = reject(rejected, self._split)
        self.rejects[rejected.entry.key, rejected.entry.path] = value
        self._log.add(reject_line(value))

    def close(self, *, sync: bool = False) -> None:
        """Close the file; synced, if that is asked for. May be called again."""
        try:
            if sync:
                self._log.sync()
        finally:
            self._log.close()

    def _read(self) -> Iterator[tuple[ImageName, Reject]]:
        for line in self._log.read():
            try:
                value = json.loads(line)
                yield (int(value["key"]), str(value["path"])), value
            except (ValueError, KeyError, TypeError):
                return
