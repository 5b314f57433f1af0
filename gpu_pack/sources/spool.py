"""Files on this machine's disk for what cannot be read where it lies: compressed archives, rows of tables, iterables.

The folder is locked from its first use to the end of the run, and removed then: a resumed run makes it anew.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import BinaryIO

from gpu_pack.errors import OutputError
from gpu_pack.stores.atomic_file import unwritable
from gpu_pack.stores.folder_lock import FolderLock
from gpu_pack.stores.store import Store
from gpu_pack.types import Container

_COPY_BYTES = 8 << 20
#: Left free on the disk, whatever is spooled.
_RESERVE_BYTES = 64 << 20


class SpoolFile:
    """A file that grows in the spool; a context manager, as `Spool.create` gives it.

    Attributes:
        path: absolute.
        size: bytes so far.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        import xxhash  # here: few runs spool

        self.path, self.size = str(path), 0
        self._file, self._hash = file, xxhash.xxh3_128()

    @property
    def digest(self) -> str:
        """Of the bytes so far, hexadecimal."""
        return self._hash.hexdigest()

    def append(self, data: bytes | memoryview) -> int:
        """Append bytes; gives their offset.

        Raises:
            OutputError: the disk is full or failed.
        """
        offset = self.size
        try:
            self._file.write(data)
        except OSError as error:
            raise unwritable(Path(self.path), error) from error
        self._hash.update(data)
        self.size += len(data)
        return offset


class Spool:
    """The spool of one run; a context manager.

    Args:
        folder: made when something is spooled. None, in a dry run: nothing can be spooled, and local copies lie in a
            temporary folder.

    Attributes:
        files: those with images.
    """

    def __init__(self, folder: Path | None) -> None:
        self.files: list[SpoolFile] = []
        self._folder = None if folder is None else folder.absolute()
        self._lock: FolderLock | None = None
        self._files = 0
        self._temporary: TemporaryDirectory[str] | None = None

    @property
    def folder(self) -> str | None:
        """Its absolute path, with a separator at the end; None in a dry run."""
        return None if self._folder is None else os.path.join(self._folder, "")

    @property
    def dry(self) -> bool:
        """Nothing can be spooled: what is listed will not be read."""
        return self._folder is None

    def create(self, name: str) -> AbstractContextManager[SpoolFile]:
        """A new file; ``name`` is a hint for people who look into the folder.

        Raises:
            OutputError: it cannot be written.
            OutputLockedError: another run is spooling there.
        """
        return self._create(self._open(), name, images=True)

    @contextmanager
    def _create(self, folder: Path, name: str, *, images: bool = False) -> Iterator[SpoolFile]:
        path = folder / f"{self._files:05d}-{os.path.basename(name)[-80:]}"
        self._files += 1
        try:
            file = path.open("wb")  # what fails while it is open is not about it
        except OSError as error:
            raise unwritable(path, error) from error
        made = SpoolFile(path, file)
        self.files += [made] if images else []
        try:
            yield made
        finally:
            try:
                file.close()
            except OSError as error:
                raise unwritable(path, error) from error

    def reserve(self, needed: int, what: str) -> None:
        """Raise `OutputError` unless the disk has room for ``needed`` bytes; ``what`` is to be spooled."""
        if self._folder is None:
            return
        folder = self._folder
        while not folder.exists():
            folder = folder.parent
        free = shutil.disk_usage(folder).free
        if free < needed + _RESERVE_BYTES:
            raise OutputError(
                f"{self._folder}: {what} has to be spooled on this disk, which takes {needed:,} bytes, and {free:,} "
                "are free: free some, or choose another output"
            )

    def local_copy(self, store: Store, path: str) -> str:
        """The path of a file on this machine: its own, or that of a copy in the spool.

        Raises:
            SourceError: it cannot be read.
            OutputError: there is no room for it.
        """
        if (local := store.local_path(path)) is not None:
            return local
        with store.open(path) as file:
            self.reserve(file.stat.size, path)
            with self._create(self._temporary_folder() if self._folder is None else self._open(), path) as copy:
                while data := file.read_at(copy.size, _COPY_BYTES):
                    copy.append(data)
        return copy.path

    def _open(self) -> Path:
        if self._folder is None:
            raise OutputError("a dry run spools nothing")
        if self._lock is None:
            self._lock = FolderLock(self._folder)
            for item in self._folder.iterdir():  # a killed run's
                if item.name not in FolderLock.names:
                    item.unlink()
        return self._folder

    def _temporary_folder(self) -> Path:
        if self._temporary is None:
            self._temporary = TemporaryDirectory(prefix="gpu-pack-")
        return Path(self._temporary.name)

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()
        if self._lock is None:
            return
        assert self._folder is not None
        for item in self._folder.iterdir():
            if item.name not in FolderLock.names:
                with suppress(OSError):
                    item.unlink()
        self._lock.remove()
        with suppress(OSError):  # an output folder that was made for the spool alone
            self._folder.parent.rmdir()


def as_container(file: str) -> Container:
    """A finished file of the spool, with images inside of it."""
    status = os.stat(file)
    return Container(file, status.st_size, status.st_mtime_ns)
