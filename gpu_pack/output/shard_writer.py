"""One .rec file and its index, written in batches; a thread hashes what was written, another one syncs it.

The index is kept in memory (16 bytes a record) and written at the end: a killed run gets it from the records again. At
intervals the file is synced, and a checkpoint says how far it reached and what it hashed to.
"""

from __future__ import annotations

import os
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from gpu_pack.output.checkpoint import BACKENDS, MADE_BY, Checkpoint, RecordFileState
from gpu_pack.recordio import framing
from gpu_pack.recordio.index import format_index
from gpu_pack.stores.atomic_file import sync_file, unwritable, write_atomically
from gpu_pack.types import Encoded

_BACKEND_CODES = {name: code for code, name in enumerate(BACKENDS)}
#: Bytes in one call. In whole runs on ext4 in a virtual machine, calls of 8 MiB took three times as long.
_WRITE_BYTES = 4 << 20
#: Pieces that are written without being joined: copying large files would cost a tenth of a pass-through run.
_MAX_PIECES = 100 if hasattr(os, "writev") else 1


@dataclass(frozen=True)
class WriterSettings:
    """How often a writer hands records to the system, and has them synced.

    Attributes:
        flush_bytes: records are joined until they have this size, and written in one call.
        sync_bytes: written bytes after which the file is synced, and a checkpoint made.
        hash_ahead: written bytes that may wait to be hashed: a fortieth of a second.
    """

    flush_bytes: int = 1 << 20
    sync_bytes: int = 64 << 20
    hash_ahead: int = 32 << 20


class RecordWriter:
    """Appends images to ``path``, after what ``state`` says is there; anything beyond that is cut off.

    Args:
        checkpoint: called from the syncing thread whenever more is on the disk.

    Raises:
        OutputError: the file cannot be opened or written; what was written before stays.
    """

    def __init__(
        self,
        path: Path,
        state: RecordFileState,
        checkpoint: Callable[[Checkpoint], None],
        settings: WriterSettings | None = None,
    ) -> None:
        self.path, self.state, self.settings = path, state, settings or WriterSettings()
        self._checkpoint = checkpoint
        self._pieces: list[bytes] = []  # of records that are not yet in the file, as are the lengths, keys and backends
        self._lengths: list[int] = []
        self._keys: array[int] = array("Q")
        self._backends = bytearray()
        self._pending = 0
        self._background = _Background(self)
        try:
            # Unbuffered: batches are joined here, and a full disk must show at the write that met it.
            self._file = open(path, "r+b" if path.exists() else "x+b", buffering=0)  # noqa: SIM115
            self._file.truncate(state.size)
            self._file.seek(state.size)
            # A byte a record, so that a resumed run's report still knows which device did what.
            self._made_by = open(path.with_suffix(MADE_BY), "wb", buffering=0)  # noqa: SIM115
            self._made_by.write(state.backends)
        except OSError as error:
            raise unwritable(path, error) from error

    def append(self, image: Encoded) -> None:
        """Add one image's record.

        Raises:
            FormatError: a record that RecordIO cannot hold.
            OutputError: the disk is full, or failed.
        """
        entry = image.entry
        self.append_framed(entry.key, framing.frame_pieces(entry.key, entry.labels, image.data), image.backend)

    def append_framed(self, key: int, pieces: Sequence[bytes], backend: str = "unknown") -> None:
        """Add one record that is framed already, in pieces.

        Raises:
            OutputError: the disk is full, or failed.
        """
        size = sum(map(len, pieces))
        self._pieces += pieces
        self._lengths.append(size)
        self._keys.append(key)
        self._backends.append(_BACKEND_CODES[backend])
        self._pending += size
        if self._pending >= self.settings.flush_bytes:
            self.flush()

    def flush(self) -> None:
        """Hand everything to the system, so that the process may die without losing it."""
        if not self._pieces:
            return
        pieces = self._pieces if len(self._pieces) <= _MAX_PIECES else [b"".join(self._pieces)]
        lengths, keys, backends = self._lengths, self._keys, self._backends
        self._pieces, self._lengths, self._keys, self._backends, self._pending = [], [], array("Q"), bytearray(), 0
        self._background.check()
        size = sum(lengths)
        try:
            self._made_by.write(backends)
            self._write(pieces, size)
        except OSError as error:
            raise unwritable(self.path, error) from error
        state = self.state
        state.keys.extend(keys)
        state.offsets.extend(accumulate(lengths[:-1], initial=state.size))
        state.backends += backends
        state.size += size
        self._background.hash(pieces, size)

    def finish(self) -> None:
        """Flush, sync and close.

        Raises:
            OutputError: the disk is full, or failed.
        """
        self.flush()
        try:
            self._background.finish()
        finally:
            self.close()

    def close(self) -> None:
        """Flush what can be flushed and close the file; the run can be resumed."""
        try:
            if not self._file.closed:
                self.flush()
        finally:
            self._background.close()
            self._file.close()
            self._made_by.close()

    def sync(self, point: Checkpoint) -> None:
        """Sync the file, and report the checkpoint."""
        try:
            sync_file(self._file.fileno())
        except OSError as error:
            raise unwritable(self.path, error) from error
        self._checkpoint(point)

    def _write(self, pieces: Sequence[bytes], size: int) -> None:
        done = os.writev(self._file.fileno(), pieces) if len(pieces) > 1 and size <= _WRITE_BYTES else 0
        rest = memoryview(b"".join(pieces))[done:] if done < size else b""
        while rest:
            rest = rest[self._file.write(rest[:_WRITE_BYTES]) :]


class _Background:
    """Hashes and syncs what a writer wrote, on a thread each, while the writer continues.

    SHA-256 would take a third of the writer's time, and a slow disk may take seconds to sync. At most one sync runs at
    a time; what is written meanwhile is the next one's.
    """

    def __init__(self, writer: RecordWriter) -> None:
        self._writer = writer
        self._hashed = self._synced = writer.state.size
        self._hasher = ThreadPoolExecutor(1, thread_name_prefix="hash")
        self._syncer = ThreadPoolExecutor(1, thread_name_prefix="sync")
        self._hashing: deque[tuple[Future[None], int]] = deque()
        self._waiting = 0  # bytes to be hashed
        self._syncing: Future[None] | None = None

    def check(self) -> None:
        """Raise what a sync has raised."""
        syncing = self._syncing
        if syncing is not None and syncing.done():
            syncing.result()

    def hash(self, pieces: Sequence[bytes], size: int) -> None:
        """Queue a batch of ``size`` bytes that is in the file; wait while too much is queued."""
        self._hashing.append((self._hasher.submit(self._hash, pieces, size), size))
        self._waiting += size
        while self._waiting > self._writer.settings.hash_ahead:
            self._wait_for_hash()

    def finish(self) -> None:
        """Hash and sync everything."""
        while self._hashing:
            self._wait_for_hash()
        if self._syncing is not None:
            self._syncing.result()
        self._writer.sync(self._here())

    def close(self) -> None:
        """Finish hashing; do not wait for a sync, which may take long."""
        self._hasher.shutdown()
        self._syncer.shutdown(wait=False, cancel_futures=True)

    def _hash(self, pieces: Sequence[bytes], size: int) -> None:
        for piece in pieces:
            self._writer.state.checksum.update(piece)
        self._hashed += size
        self.check()
        due = self._hashed - self._synced >= self._writer.settings.sync_bytes
        if due and (self._syncing is None or self._syncing.done()):
            self._synced = self._hashed
            self._syncing = self._syncer.submit(self._writer.sync, self._here())

    def _wait_for_hash(self) -> None:
        hashing, size = self._hashing.popleft()
        hashing.result()
        self._waiting -= size

    def _here(self) -> Checkpoint:
        return Checkpoint(self._hashed, self._writer.state.checksum.hexdigest())


def write_index(path: Path, state: RecordFileState) -> None:
    """Write the .idx of a .rec, in the records' order, synced."""
    write_atomically(path, format_index(state.keys, state.offsets))
