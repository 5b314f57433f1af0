"""Where bytes lie: one small interface, implemented by local folders and object stores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from gpu_pack.types import Entry, Image, Rejected


class Stat(NamedTuple):
    """Size in bytes and modification time in nanoseconds of a regular file; both are -1 where there is none."""

    size: int
    mtime_ns: int


class StoreItem(Protocol):
    """One name in a folder; `os.DirEntry` is one."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str: ...
    def is_dir(self) -> bool: ...


class Store(Protocol):
    """Reads and writes files by paths relative to the store, with ``/`` between folders.

    A store is picklable and holds no open handles: another process or machine opens it for itself.
    """

    def read_many(self, entries: Iterable[Entry]) -> Iterator[Image | Rejected]:
        """Yield the entries' files, whole and in order; the store reads ahead by itself.

        A file that cannot be read, or whose size is not the entry's, is a `Rejected` in its place.

        Raises:
            SourceError: no file can be read at the moment (too many open files, storage that does not answer).
        """
        ...

    def stat(self, path: str) -> Stat:
        """Size and modification time of one file."""
        ...

    def list(self, folder: str) -> Sequence[StoreItem]:
        """The files and folders directly in ``folder``, sorted by name; ``""`` is the store's root.

        Raises:
            SourceError: it cannot be listed.
        """
        ...

    def write(self, path: str, data: bytes) -> None:
        """Create or replace a file in one step: readers see the old bytes or the new ones.

        Raises:
            OutputError: it cannot be written; the old bytes stay.
        """
        ...
