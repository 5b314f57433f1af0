"""A store over a local folder. It opens files ahead and advises the system to fetch them (posix_fadvise)."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gpu_pack.errors import SourceError
from gpu_pack.stores.atomic_file import write_atomically
from gpu_pack.stores.local_members import OpenContainers, read_at
from gpu_pack.stores.members import MAX_FILE_BYTES, too_large
from gpu_pack.stores.store import Stat
from gpu_pack.types import Entry, Image, Rejected

# O_NONBLOCK: opening a FIFO must not wait for its writer. O_BINARY: Windows must not translate line ends.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_WILL_NEED = getattr(os, "POSIX_FADV_WILLNEED", None)
#: Files that one `read_many` holds open ahead: 16 of them at once take at most half of the descriptors.
_OPEN_AHEAD = 1 if _WILL_NEED is None else max(1, min(32, os.sysconf("SC_OPEN_MAX") // 32))
#: Errors that say nothing about the file.
_TOO_MANY_OPEN = {errno.EMFILE: "this process", errno.ENFILE: "the system"}
_KINDS = ((stat.S_ISDIR, "folder"), (stat.S_ISFIFO, "named pipe"), (stat.S_ISSOCK, "socket"))


@dataclass(frozen=True)
class LocalStore:
    """A `gpu_pack.stores.store.Store` over a folder.

    Attributes:
        root: the folder; absolute paths are used as they are.
    """

    root: str

    def ahead(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """See `Store.ahead`; `read_many` reads ahead enough."""
        return iter(entries)

    def read_many(self, entries: Iterable[Entry]) -> Generator[Image | Rejected, None, None]:
        """See `Store.read_many`. Up to 32 files are opened and announced to the system before they are read."""
        ahead: deque[tuple[Entry, int | None]] = deque()
        containers = OpenContainers(self._open, _OPEN_AHEAD)
        try:
            for entry in entries:
                if len(ahead) == _OPEN_AHEAD:
                    yield self._read(*ahead.popleft(), containers)
                if entry.place is not None:
                    containers.announce(entry)
                    ahead.append((entry, None))
                else:
                    ahead.append((entry, self._announce(entry)))
            while ahead:
                yield self._read(*ahead.popleft(), containers)
        finally:
            containers.close()
            for _, descriptor in ahead:
                if descriptor is not None:
                    os.close(descriptor)

    def stat(self, path: str) -> Stat:
        """See `Store.stat`."""
        try:
            status = os.stat(self._path(path))
        except (OSError, ValueError):
            return Stat(-1, -1)
        return Stat(status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else Stat(-1, -1)

    def open(self, path: str) -> LocalFile:
        """See `Store.open`."""
        return LocalFile(self._path(path))

    def local_path(self, path: str) -> str:
        """See `Store.local_path`."""
        return self._path(path)

    def list(self, folder: str) -> list[os.DirEntry[str]]:
        """See `Store.list`."""
        path = self._path(folder)
        try:
            with os.scandir(path or ".") as listed:
                return sorted(listed, key=lambda item: item.name)
        except OSError as error:
            raise SourceError(f"{path}: cannot be listed: {error.strerror or error}") from error

    def write(self, path: str, data: bytes) -> None:
        """See `Store.write`."""
        write_atomically(Path(self._path(path)), data)

    def _path(self, path: str) -> str:
        return os.path.join(self.root, path)

    def _open(self, path: str) -> int:
        return os.open(self._path(path), _FLAGS)

    def _announce(self, entry: Entry) -> int | None:
        """Open a file and advise the system to fetch it. None: it cannot be opened now, and `_read` tries again."""
        try:
            descriptor = self._open(entry.path)
        except (OSError, ValueError):
            return None
        if _WILL_NEED is not None:
            with suppress(OSError):  # some file systems refuse advice
                os.posix_fadvise(descriptor, 0, 0, _WILL_NEED)
        return descriptor

    def _read(self, entry: Entry, descriptor: int | None, containers: OpenContainers) -> Image | Rejected:
        """Read one file whole, and close it; or one image inside of a container.

        Raises:
            SourceError: too many files are open.
        """
        try:
            if entry.place is not None:
                return containers.read(entry)
            if descriptor is None:
                descriptor = self._open(entry.path)
            try:
                if entry.size is not None and entry.size <= MAX_FILE_BYTES:
                    data = os.read(descriptor, entry.size + 1)  # one more: a longer file shows
                    if len(data) == entry.size:
                        return Image(entry, data)
                return _read_unexpected(entry, descriptor)
            finally:
                os.close(descriptor)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in _TOO_MANY_OPEN:
                raise SourceError(
                    f"{entry.path}: {_TOO_MANY_OPEN[error.errno]} has too many files open: raise the limit (ulimit -n) "
                    "or use fewer --workers, then run the same command again to resume"
                ) from error
            return Rejected(
                entry, "read", _explain(error), "missing" if isinstance(error, FileNotFoundError) else "unreadable"
            )


class LocalFile:
    """A `gpu_pack.stores.store.OpenFile`.

    Raises:
        SourceError: there is no such regular file, or it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._name = path
        try:
            self._descriptor = os.open(path, _FLAGS)
        except (OSError, ValueError) as error:
            raise SourceError(f"{path}: {_explain(error)}") from error
        status = os.fstat(self._descriptor)
        self.stat = Stat(status.st_size, status.st_mtime_ns)
        if not stat.S_ISREG(status.st_mode):
            os.close(self._descriptor)
            raise SourceError(f"{path}: {_not_regular(status.st_mode)}")

    def read_at(self, offset: int, length: int) -> bytes:
        """See `OpenFile.read_at`."""
        try:
            return read_at(self._descriptor, offset, length)
        except OSError as error:
            raise SourceError(f"{self._name}: {_explain(error)}") from error

    def __enter__(self) -> LocalFile:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._descriptor)


def _not_regular(mode: int) -> str:
    kind = next((name for test, name in _KINDS if test(mode)), "device")
    return f"not a regular file but a {kind}"


def _read_unexpected(entry: Entry, descriptor: int) -> Image | Rejected:
    """Read a file of unknown or other size than listed, or one that the system returns in pieces."""
    status = os.fstat(descriptor)
    size = status.st_size
    if not stat.S_ISREG(status.st_mode):
        return Rejected(entry, "read", _not_regular(status.st_mode), "unreadable")
    if entry.size is not None and size != entry.size:
        changed = f"the file changed while packing: {entry.size} bytes when listed, {size} now"
        return Rejected(entry, "read", changed, "changed")
    if size > MAX_FILE_BYTES:
        return Rejected(entry, "read", *too_large(size))
    os.lseek(descriptor, 0, os.SEEK_SET)
    pieces = []
    missing = size
    while missing and (piece := os.read(descriptor, missing)):
        pieces.append(piece)
        missing -= len(piece)
    if missing:
        return Rejected(entry, "read", f"the file ended {missing} bytes before its size of {size}", "changed")
    return Image(entry, b"".join(pieces))


def _explain(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, OSError):
        if error.errno == errno.EISDIR:
            return "not a regular file but a folder"
        return f"the system could not read it: {error.strerror or error}"
    return f"not a usable file name: {error}"
