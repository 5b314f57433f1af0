"""Where bytes lie: one small interface, implemented by local folders and object stores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from gpu_pack.types import Entry, Image, Rejected

#: Under which workers count, among their failures, requests that were repeated.
REPEATED_REQUESTS = "requests to object stores that were repeated"


class Stat(NamedTuple):
    """A regular file; both are -1 where there is none.

    Attributes:
        size: in bytes.
        version: another number once the file has changed: its modification time in nanoseconds, or 63 bits of its etag.
    """

    size: int
    version: int


class StoreItem(Protocol):
    """One name in a folder; `os.DirEntry` is one."""

    @property
    def name(self) -> str: ...
    def is_dir(self) -> bool: ...


class OpenFile(Protocol):
    """A file of a store that is read at offsets; a context manager. Safe for one thread at a time."""

    @property
    def stat(self) -> Stat:
        """As it was when it was opened."""
        ...

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes at ``offset``; fewer only at the end of the file.

        Raises:
            SourceError: it cannot be read.
        """
        ...

    def __enter__(self) -> OpenFile: ...
    def __exit__(self, *error: object) -> None: ...


class Store(Protocol):
    """Reads and writes files by paths relative to the store, with ``/`` between folders.

    A store is picklable and holds no open handles: another process or machine opens it for itself.
    """

    @property
    def root(self) -> str:
        """What paths start from: a folder or an address; empty for the working folder."""
        ...

    def ahead(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The same entries, in order; the store may begin to read those that come next.

        What this process then asks `read_many` for is there sooner. Nothing depends on it.
        """
        ...

    def read_many(self, entries: Iterable[Entry]) -> Iterator[Image | Rejected]:
        """Yield the entries' images, whole and in order; the store reads ahead by itself.

        An image with a `Place` is read inside of its container. One that cannot be read, or whose size is not the
        entry's, is a `Rejected` in its place.

        Raises:
            SourceError: no file can be read at the moment (too many open files, storage that does not answer).
        """
        ...

    def stat(self, path: str) -> Stat:
        """Size and version of one file.

        Raises:
            SourceError: the store does not answer, or not to this user.
        """
        ...

    def open(self, path: str) -> OpenFile:
        """Open a file to read parts of it.

        Raises:
            SourceError: there is no such file, or it cannot be read.
        """
        ...

    def local_path(self, path: str) -> str | None:
        """The path of a file on this machine's file system; None where it lies elsewhere."""
        ...

    def list(self, folder: str) -> Sequence[StoreItem]:
        """The files and folders directly in ``folder``, sorted by name; ``""`` is the store's root. A slash at the end
        does not count.

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
