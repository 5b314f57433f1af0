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
from typing import TYPE_CHECKING

from gpu_pack.durable import sync_file, unwritable, write_durably
from gpu_pack.interface import Encoded, Framed
from gpu_pack.recordio import framing
from gpu_pack.recovery import BACKENDS, MADE_BY, Checkpoint, Written

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

_BACKEND_CODES = {name: code for code, name in enumerate(BACKENDS)}
_PASSED = bytes([_BACKEND_CODES["pass-through"]])
_FLUSH_BYTES = 1 << 20
_SYNC_BYTES = 16 << 20
#: Bytes that may wait to be hashed: a fortieth of a second.
_HASH_AHEAD = 32 << 20


class RecordWriter:
    """Appends images to ``path``, after what ``written`` says is there; anything beyond that is cut off.

    Args:
        checkpoint: called from the syncing thread whenever more is known to be on the disk.

    Raises:
        OutputError: the file cannot be opened or written; what was written before stays.
    """

    def __init__(self, path: Path, written: Written, checkpoint: Callable[[Checkpoint], None]) -> None:
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

    def append_framed(self, framed: Framed) -> None:
        """Add files that are records already, and hand everything to the system.

        Raises:
            OutputError: the disk is full, or failed.
        """
        self.flush()
        if framed.keys:
            self._extend(framed.pieces, framed.keys, framed.lengths, _PASSED * len(framed.keys), framed.release)
        else:
            framed.release()

    def _extend(
        self,
        pieces: Sequence[bytes | memoryview],
        keys: Iterable[int],
        lengths: Sequence[int],
        backends: bytes | bytearray,
        release: Callable[[], None] | None = None,
    ) -> None:
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
        self._behind.follow(pieces, release)

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
            done = self._file.write(rest)
            rest = rest[done:]


class _Behind:
    """Hashes and syncs what a writer wrote, on two threads of its own, while the writer goes on.

    Hashing takes a third of the writer's time, and a slow disk may take seconds to sync. At most one sync is under
    way; what is written meanwhile is the next one's.
    """

    def __init__(self, writer: RecordWriter) -> None:
        self._writer = writer
        self._synced = writer.written.size
        self._hasher = ThreadPoolExecutor(1, thread_name_prefix="hash")
        self._syncer = ThreadPoolExecutor(1, thread_name_prefix="sync")
        self._hashing: deque[tuple[Future[None], int]] = deque()
        self._unhashed = 0
        self._syncing: Future[None] | None = None

    def follow(self, pieces: Sequence[bytes | memoryview], release: Callable[[], None] | None) -> None:
        """Take over a batch that is in the file now. Raises what an earlier sync raised."""
        written = self._writer.written
        size = sum(map(len, pieces))
        self._hashing.append((self._hasher.submit(_hash, written.sha256, pieces, release), size))
        self._unhashed += size
        while self._unhashed > _HASH_AHEAD:
            hashed, size = self._hashing.popleft()
            hashed.result()
            self._unhashed -= size
        if written.size - self._synced >= _SYNC_BYTES and (self._syncing is None or self._syncing.done()):
            self._wait()
            self._synced = written.size
            self._syncing = self._syncer.submit(self._sync, self._here())

    def catch_up(self) -> None:
        """Hash and sync all there is."""
        self._wait()
        self._sync(self._here())

    def close(self) -> None:
        """Finish hashing; leave a sync that is under way to itself, it may take long."""
        self._hasher.shutdown()
        self._syncer.shutdown(wait=False, cancel_futures=True)

    def _here(self) -> Future[Checkpoint]:
        """A checkpoint of what is written up to now, once it is hashed."""
        written = self._writer.written
        size = written.size
        return self._hasher.submit(lambda: Checkpoint(size, written.sha256.hexdigest()))

    def _wait(self) -> None:
        if self._syncing is not None:
            syncing, self._syncing = self._syncing, None
            syncing.result()

    def _sync(self, here: Future[Checkpoint]) -> None:
        self._writer.sync(here.result())


def _hash(sha256: Hash, pieces: Sequence[bytes | memoryview], release: Callable[[], None] | None) -> None:
    for piece in pieces:
        sha256.update(piece)
    if release is not None:
        release()


def write_index(path: Path, written: Written) -> None:
    """The .idx: ``key<TAB>offset`` a record, in the records' order, synced."""
    rows = zip(written.keys, written.offsets, strict=True)
    write_durably(path, "".join(f"{key}\t{offset}\n" for key, offset in rows).encode())
