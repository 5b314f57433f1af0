"""A published file that is made of bytes and of whole files, one after the other, in bounded memory.

On a disk, and on most object stores, all bytes pass through this machine, and the file's sha256 is known. S3 copies
files that lie there by itself; then only the hashes of the parts are known: see `gpu_pack.formats.published_file`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol

from gpu_pack.errors import SourceError
from gpu_pack.formats.published_file import FileHash, PublishedFile, joined
from gpu_pack.stores.atomic_file import sync_file, unwritable
from gpu_pack.stores.data_path import DataPath

_READ_BYTES = 1 << 20
#: Small pieces are joined until they have this size.
_WRITE_BYTES = 1 << 20
#: Blocks that may wait to be hashed.
_HASH_AHEAD = 8
#: Written bytes after which the disk is asked to begin with them, so that the sync at the end is short.
_SYNC_BYTES = 256 << 20


class Target(Protocol):
    """What receives the bytes: see `gpu_pack.stores.object_upload.Upload`.

    Raises:
        OutputError: every method, where it cannot be written.
    """

    def write(self, data: bytes) -> None: ...
    def copy(self, source: DataPath, size: int) -> bool: ...
    def finish(self) -> None: ...
    def abort(self) -> None: ...


class JoinedFile:
    """A file that is being joined; a context manager, which gives it up unless it was finished.

    Args:
        target: receives the bytes.
        on_finished: called with size and hashes once the file is complete.

    Attributes:
        size: bytes so far.
    """

    def __init__(self, target: Target, on_finished: Callable[[PublishedFile], None] = lambda _: None) -> None:
        self._target, self._on_finished = target, on_finished
        self.size = 0
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._parts: list[PublishedFile] = []  # up to the last file that the target copied by itself
        self._hash = _BackgroundHash(FileHash())
        self._since = 0  # where ``_hash`` began

    def __enter__(self) -> JoinedFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hash.close()
        self._target.abort()

    def write(self, data: bytes) -> None:
        """Append bytes."""
        self._pieces.append(data)
        self._waiting += len(data)
        self.size += len(data)
        if self._waiting >= _WRITE_BYTES:
            self._flush()

    def append(self, source: DataPath, known: PublishedFile, on_bytes: Callable[[int], None] = lambda _: None) -> None:
        """Append a whole file.

        Args:
            known: what it must be; told, not checked, where the target copies by itself.
            on_bytes: called with the number of bytes since the last call.

        Raises:
            SourceError: it cannot be read, or is another one than ``known``.
        """
        self._flush()
        if self._target.copy(source, known.bytes):
            self._end_part()
            self._parts.append(known)
            self.size += known.bytes
            self._since = self.size
            on_bytes(known.bytes)
            return
        check = _BackgroundHash(FileHash(known.lengths))
        try:
            with source.open("rb") as file:
                while block := file.read(_READ_BYTES):
                    check.update(block)
                    self.write(block)
                    on_bytes(len(block))
        except OSError as error:
            raise SourceError(f"{source}: cannot be read: {error.strerror or error}") from error
        finally:
            check.close()
        if check.published() != known:
            raise SourceError(
                f"{source}: its bytes are not those that its manifest tells of, so nothing was written: `gpu-pack "
                "verify` names the damaged records"
            )

    def finish(self) -> PublishedFile:
        """Complete the file; size and hashes of it."""
        self._flush()
        self._end_part()
        self._target.finish()
        found = joined(self._parts)
        self._on_finished(found)
        return found

    def _flush(self) -> None:
        if not self._pieces:
            return
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces, self._waiting = [], 0
        self._hash.update(data)
        self._target.write(data)

    def _end_part(self) -> None:
        self._hash.close()
        if self.size > self._since:
            self._parts.append(self._hash.published())
        self._hash = _BackgroundHash(FileHash())


class LocalTarget:
    """A file on this machine's disk.

    Args:
        path: replaced if it is there.
        synced: the file is on the disk when it is finished; otherwise whoever publishes it syncs it.
    """

    def __init__(self, path: Path, *, synced: bool = True) -> None:
        self._path, self._is_synced = path, synced
        self._unsynced = 0
        self._syncer = ThreadPoolExecutor(1, thread_name_prefix="sync")
        self._syncing: Future[None] | None = None
        try:
            self._file = path.open("wb", buffering=0)
        except OSError as error:
            raise unwritable(path, error) from error

    def write(self, data: bytes) -> None:
        """See `Target`."""
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
            self._unsynced += len(data)
            if self._unsynced >= _SYNC_BYTES and (self._syncing is None or self._syncing.done()):
                self._wait_for_sync()
                self._syncing = self._syncer.submit(sync_file, self._file.fileno())
                self._unsynced = 0
        except OSError as error:
            raise unwritable(self._path, error) from error

    def copy(self, source: DataPath, size: int) -> bool:
        """See `Target`: all bytes are hashed here, so that they come by."""
        return False

    def finish(self) -> None:
        """See `Target`."""
        try:
            self._wait_for_sync()
            if self._is_synced:
                sync_file(self._file.fileno())
        except OSError as error:
            raise unwritable(self._path, error) from error
        finally:
            self.abort()

    def abort(self) -> None:
        """See `Target`; the staging folder's owner removes the file."""
        self._syncer.shutdown()
        with suppress(OSError):
            self._file.close()

    def _wait_for_sync(self) -> None:
        if self._syncing is not None:
            self._syncing.result()


class _BackgroundHash:
    """Hashes on a thread, a few blocks behind."""

    def __init__(self, found: FileHash) -> None:
        self._hash = found
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[Future[None]] = deque()

    def update(self, data: bytes) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="hash")
        if len(self._waiting) == _HASH_AHEAD:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(self._hash.update, data))

    def close(self) -> None:
        """Wait for what is queued."""
        if self._pool is not None:
            self._pool.shutdown()

    def published(self) -> PublishedFile:
        """Once, after `close`."""
        return self._hash.published()
