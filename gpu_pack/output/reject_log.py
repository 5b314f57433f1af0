"""The rejects of one shard, noted one by one while it is packed, and read back when the run is resumed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path

from gpu_pack.formats.rejects import Reject, reject, reject_line
from gpu_pack.stores.atomic_file import sync_file, unwritable, write_atomically
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
        self._path, self._split = path, split
        self.rejects: dict[ImageName, Reject] = dict(self._read())
        self._file: FileIO | None = None

    def open(self, kept: Iterable[ImageName]) -> None:
        """Keep the rejects of these images only, and open the file for more."""
        self.rejects = {name: self.rejects[name] for name in kept}
        write_atomically(self._path, b"".join(map(reject_line, self.rejects.values())))
        try:
            self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            raise unwritable(self._path, error) from error

    def add(self, rejected: Rejected) -> None:
        """Note one image, at once."""
        value = reject(rejected, self._split)
        self.rejects[rejected.entry.key, rejected.entry.path] = value
        assert self._file is not None
        rest = memoryview(reject_line(value))
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise unwritable(self._path, error) from error

    def close(self, *, sync: bool = False) -> None:
        """Close the file; synced, if that is asked for. May be called again."""
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            with file:
                if sync:
                    sync_file(file.fileno())
        except OSError as error:
            raise unwritable(self._path, error) from error

    def _read(self) -> Iterator[tuple[ImageName, Reject]]:
        """The whole lines that an interrupted run left."""
        try:
            lines = self._path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return
        for line in lines:
            try:
                value = json.loads(line)
                yield (int(value["key"]), str(value["path"])), value
            except (ValueError, KeyError, TypeError):
                return
