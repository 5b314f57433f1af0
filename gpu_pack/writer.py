"""One .rec file and its index, written in batches while a thread of its own makes them durable.

The index is kept in memory (16 bytes a record) and written at the end: everything it says can be had from the
records again, so a run that was killed loses nothing by it. What has been written is hashed on the way; every few
seconds the file is synced and a checkpoint says how far it reached and what it hashed to.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from gpu_pack import framing, recordio
from gpu_pack.errors import FormatError, OutputError
from gpu_pack.interface import Encoded

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

    from typing_extensions import Buffer

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
#: Who can have made a record: `Encoded.backend`, and what is left of it when a power cut took the note away.
BACKENDS = ("unknown", "cpu", "gpu", "pass-through")
_BACKEND_CODES = {name: code for code, name in enumerate(BACKENDS)}
_MADE_BY = ".made-by"
_FLUSH_BYTES = 1 << 20
_SYNC_BYTES = 16 << 20
#: Batches that may wait to be hashed: 16 MiB, a hundredth of a second.
_HASH_AHEAD = 16
_READ_BYTES = 8 << 20


class Checkpoint(NamedTuple):
    """Everything before ``size`` bytes is on the disk, and hashes to ``sha256``."""

    size: int
    sha256: str


@dataclass
class Written:
    """What a .rec file holds so far.

    Attributes:
        size: bytes, a whole number of records.
        keys, offsets: one of each record; where its first magic begins.
        backends: who made each record, as indices into `BACKENDS`.
        sha256: of the file's bytes.
    """

    size: int = 0
    keys: array[int] = field(default_factory=lambda: array("Q"))
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    backends: bytearray = field(default_factory=bytearray)
    sha256: Hash = field(default_factory=hashlib.sha256)

    def cut(self, path: Path, records: int) -> None:
        """Keep the first ``records`` records only."""
        if records < len(self.keys):
            self.size = self.offsets[records]
            del self.keys[records:], self.offsets[records:], self.backends[records:]
            self.sha256 = hashlib.sha256()
            with path.open("rb") as file:
                _update(self.sha256, file, self.size)


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
            self._made_by = open(path.with_suffix(_MADE_BY), "wb", buffering=0)  # noqa: SIM115
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
        try:
            self._made_by.write(backends)
            self._write(batch)
        except OSError as error:
            raise unwritable(self.path, error) from error
        written = self.written
        written.keys += keys
        written.offsets.extend(accumulate(lengths[:-1], initial=written.size))
        written.backends += backends
        written.size += len(batch)
        self._behind.follow(batch)

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

    def _write(self, batch: bytes) -> None:
        rest = memoryview(batch)
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
        self._hashing: deque[Future[None]] = deque()
        self._syncing: Future[None] | None = None

    def follow(self, batch: bytes) -> None:
        """Take over a batch that is in the file now. Raises what an earlier sync raised."""
        written = self._writer.written
        self._hashing.append(self._hasher.submit(written.sha256.update, batch))
        if len(self._hashing) > _HASH_AHEAD:
            self._hashing.popleft().result()
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


def write_index(path: Path, written: Written) -> None:
    """The .idx: ``key<TAB>offset`` a record, in the records' order, synced."""
    rows = zip(written.keys, written.offsets, strict=True)
    write_durably(path, "".join(f"{key}\t{offset}\n" for key, offset in rows).encode())


def recover(path: Path, checkpoints: Sequence[Checkpoint], *, trust_tail: bool) -> Written:
    """What of an interrupted run's .rec can be kept: whole records, whose checkpoints still hash to what they say.

    Args:
        checkpoints: of this file, in the order they were made.
        trust_tail: keep whole records after the last checkpoint too. Safe after a killed process, whose writes the
            system finishes; not after a power cut, where a file may have grown before its bytes arrived.
    """
    written = Written()
    if not path.exists():
        return written
    good, sha256 = _verified(path, checkpoints)
    limit = path.stat().st_size if trust_tail else good
    with path.open("rb") as file:
        with contextlib.suppress(FormatError):  # the tail that the run was writing when it died
            for record in recordio.scan_headers(file, path=str(path)):
                if record.end > limit:
                    break
                written.keys.append(record.key)
                written.offsets.append(record.offset)
                written.size = record.end
        if written.size >= good:
            file.seek(good)
            _update(sha256, file, written.size - good)
            written.sha256 = sha256
    written.backends = _backends(path, len(written.keys))
    return written if written.size >= good else Written()


def _backends(path: Path, records: int) -> bytearray:
    try:
        noted = path.with_suffix(_MADE_BY).read_bytes()[:records]
    except OSError:
        noted = b""
    known = bytes(code if code < len(BACKENDS) else 0 for code in noted)
    return bytearray(known.ljust(records, b"\0"))


def _verified(path: Path, checkpoints: Sequence[Checkpoint]) -> tuple[int, Hash]:
    """How far the checkpoints prove the file, and the hash up to there."""
    good, proven, sha256 = 0, hashlib.sha256(), hashlib.sha256()
    with path.open("rb") as file:
        for point in checkpoints:
            _update(sha256, file, point.size - good)
            if sha256.hexdigest() != point.sha256:
                break
            good, proven = point.size, sha256.copy()
    return good, proven


def _update(sha256: Hash, file: BinaryIO, count: int) -> None:
    while count > 0 and (block := file.read(min(count, _READ_BYTES))):
        sha256.update(block)
        count -= len(block)


def hash_file(path: Path) -> str:
    """The sha256 of a whole file, in hexadecimal."""
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            sha256.update(block)
    return sha256.hexdigest()


class HashingFile(io.RawIOBase):
    """A raw file that hashes what is written to it, and syncs when it is closed; without a path it only hashes."""

    def __init__(self, path: Path | None) -> None:
        self.sha256 = hashlib.sha256()
        self._file = open(path, "wb", buffering=0) if path is not None else None  # noqa: SIM115

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        view = memoryview(data)
        count = self._file.write(view) if self._file is not None else len(view)
        self.sha256.update(view[:count])
        return count

    def close(self) -> None:
        if not self.closed and self._file is not None:
            with self._file:
                sync_file(self._file.fileno())
        super().close()


def write_durably(path: Path, data: bytes) -> None:
    """Create or replace a small file, and sync it.

    Raises:
        OutputError: the disk is full, or failed.
    """
    try:
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            sync_file(file.fileno())
    except OSError as error:
        raise unwritable(path, error) from error


def sync_file(descriptor: int) -> None:
    """Bytes and length on the disk; times may lag."""
    getattr(os, "fdatasync", os.fsync)(descriptor)


def sync_folder(path: Path) -> None:
    """Make renames in a folder durable, where the system has such a thing (Windows has not)."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unwritable(path: Path, error: OSError) -> OutputError:
    """The one sentence about a write that failed."""
    if error.errno in _FULL:
        return OutputError(
            f"{path}: no space left on the disk: free some, then run the same command again; it goes on from here"
        )
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return OutputError(f"{path}: no permission to write there")
    return OutputError(f"{path}: cannot be written: {error.strerror or error}")
