"""One .rec file and its index, written in batches while a thread of its own makes them durable.

The index is kept in memory (16 bytes a record) and written at the end: everything it says can be had from the
records again, so a run that was killed loses nothing by it. What has been written is hashed on the way; every few
seconds the file is synced and a checkpoint says how far it reached and what it hashed to.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path

from gpu_pack.output.checkpoint import BACKENDS, MADE_BY, Checkpoint, RecordFileState
from gpu_pack.recordio import framing
from gpu_pack.stores.atomic_file import sync_file, unwritable, write_durably
from gpu_pack.types import Encoded, Framed

_BACKEND_CODES = {name: code for code, name in enumerate(BACKENDS)}
_PASSED = bytes([_BACKEND_CODES["pass-through"]])
_FLUSH_BYTES = 1 << 20
_SYNC_BYTES = 64 << 20
#: At most so much in one call. In whole runs on ext4 in a virtual machine, calls of 8 MiB took three times as long.
_WRITE_BYTES = 4 << 20
#: Bytes that may wait to be hashed: a fortieth of a second.
_HASH_AHEAD = 32 << 20


class RecordWriter:
    """Appends images to ``path``, after what ``written`` says is there; anything beyond that is cut off.

    Args:
        checkpoint: called from the syncing thread whenever more is known to be on the disk.

    Raises:
        OutputError: the file cannot be opened or written; what was written before stays.
    """

    def __init__(self, path: Path, written: RecordFileState, checkpoint: Callable[[Checkpoint], None]) -> None:
        self.path = path
        self.written = written
        self._checkpoint = checkpoint
        self._images: list[framing.Pieces] = []  # not yet in the file, as are their keys and makers
        self._keys: array[int] = array("Q")
        self._backends = bytearray()
        self._pending = 0
        self._behind = _Behind(self)
        try:
            # Unbuffered: batches are joined here, and a full disk must show at the write that met it.
            self._file = open(path, "r+b" if path.exists() else "x+b", buffering=0)  # noqa: SIM115
            self._file.truncate(written.size)
            self._file.seek(written.size)
            # A byte a record, so that a resumed run's report still knows which device did what.
            self._made_by = open(path.with_suffix(MADE_BY), "wb", buffering=0)  # noqa: SIM115
            self._made_by.write(written.backends)
        except OSError as error:
            raise unwritable(path, error) from error

    def append(self, image: Encoded) -> None:
        """Add one image's record.

        Raises:
            FormatError: a record that RecordIO cannot hold.
            OutputError: the disk is full, or failed.
        """
        entry = image.entry
        self._images.append(framing.image_pieces(entry.key, entry.labels, image.data))
        self._keys.append(entry.key)
        self._backends.append(_BACKEND_CODES[image.backend])
        self._pending += len(image.data)
        if self._pending >= _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand everything to the system, so that the process may die without losing it."""
        if not self._images:
            return
        batch, lengths = framing.join_images(self._images)
        keys, backends = self._keys, self._backends
        self._images, self._keys, self._backends, self._pending = [], array("Q"), bytearray(), 0
        self._extend((batch,), keys, lengths, backends)
        self._behind.follow((batch,))

    def append_framed(self, framed: Framed) -> None:
        """Add files that are records already, and hand everything to the system. `hash_framed` must follow.

        Raises:
            OutputError: the disk is full, or failed.
        """
        if framed.keys:
            self._extend(framed.pieces, framed.keys, framed.lengths, _PASSED * len(framed.keys))

    def hash_framed(self, framed: Framed) -> None:
        """Hash what `append_framed` has written, in the same order; another thread may append the next meanwhile.

        Raises:
            OutputError: an earlier sync failed.
        """
        self._behind.hash(framed.pieces)

    def _extend(
        self,
        pieces: Sequence[bytes | memoryview],
        keys: Iterable[int],
        lengths: Sequence[int],
        backends: bytes | bytearray,
    ) -> None:
        self._behind.check()
        try:
            self._made_by.write(backends)
            for piece in pieces:
                self._write(piece)
        except OSError as error:
            raise unwritable(self.path, error) from error
        written = self.written
        written.keys.extend(keys)
        written.offsets.extend(accumulate(lengths[:-1], initial=written.size))
        written.backends += backends
        written.size += sum(lengths)

    def finish(self) -> None:
        """Flush, sync and close.

        Raises:
            OutputError: the disk is full, or failed.
        """
        self.flush()
        try:
            self._behind.catch_up()
        finally:
            self.close()

    def close(self) -> None:
        """Flush what can be flushed and let go of the file; the run goes on here another time."""
        try:
            if not self._file.closed:
                self.flush()
        finally:
            self._behind.close()
            self._file.close()
            self._made_by.close()

    def sync(self, point: Checkpoint) -> None:
        """Make what is written durable, and say so."""
        try:
            sync_file(self._file.fileno())
        except OSError as error:
            raise unwritable(self.path, error) from error
        self._checkpoint(point)

    def _write(self, piece: bytes | memoryview) -> None:
        rest = memoryview(piece)
        while rest:
            done = self._file.write(rest[:_WRITE_BYTES])
            rest = rest[done:]


class _Behind:
    """Hashes and syncs what a writer wrote, on threads of their own, while the writer goes on.

    With sha256, hashing takes a third of the writer's time, and a slow disk may take seconds to sync. At most one sync
    is under way; what is written meanwhile is the next one's.
    """

    def __init__(self, writer: RecordWriter) -> None:
        self._writer = writer
        self._hashed = self._synced = writer.written.size
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

    def follow(self, pieces: Sequence[bytes]) -> None:
        """Have a batch hashed that is in the file now."""
        size = sum(map(len, pieces))
        self._hashing.append((self._hasher.submit(self.hash, pieces), size))
        self._waiting += size
        while self._waiting > _HASH_AHEAD:
            self._wait_for_hash()

    def hash(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Hash a batch that is in the file, and have the file synced where it is time. Raises what a sync raised."""
        digest = self._writer.written.digest
        for piece in pieces:
            digest.update(piece)
            self._hashed += len(piece)
        self.check()
        if self._hashed - self._synced >= _SYNC_BYTES and (self._syncing is None or self._syncing.done()):
            self._synced = self._hashed
            self._syncing = self._syncer.submit(self._writer.sync, self._here())

    def catch_up(self) -> None:
        """Hash and sync all there is."""
        while self._hashing:
            self._wait_for_hash()
        if self._syncing is not None:
            self._syncing.result()
        self._writer.sync(self._here())

    def close(self) -> None:
        """Finish hashing; leave a sync that is under way to itself, it may take long."""
        self._hasher.shutdown()
        self._syncer.shutdown(wait=False, cancel_futures=True)

    def _wait_for_hash(self) -> None:
        hashing, size = self._hashing.popleft()
        hashing.result()
        self._waiting -= size

    def _here(self) -> Checkpoint:
        return Checkpoint(self._hashed, self._writer.written.digest.hexdigest())


def write_index(path: Path, written: RecordFileState) -> None:
    """The .idx: ``key<TAB>offset`` a record, in the records' order, synced."""
    rows = zip(written.keys, written.offsets, strict=True)
    write_durably(path, "".join(f"{key}\t{offset}\n" for key, offset in rows).encode())
