"""Checkpoints: how much of an interrupted run's .rec is proved to be on the disk, and how that is read back."""

from __future__ import annotations

import contextlib
import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, Protocol

from gpu_pack import recordio
from gpu_pack.errors import FormatError
from gpu_pack.stores.atomic_file import sync_file, unwritable, write_atomically

#: Who can have made a record: `Encoded.backend`; ``unknown`` where a power cut took the note away.
BACKENDS = ("unknown", "cpu", "gpu", "pass-through")
#: Suffix of the file with a byte a record: its maker, as an index into `BACKENDS`.
MADE_BY = ".made-by"
#: SHA-256 stands in create's manifest; im2rec publishes none, and XXH3 takes a tenth of the time.
ChecksumName = Literal["sha256", "xxh3_128"]
_READ_BYTES = 8 << 20


class Checksum(Protocol):
    """A running checksum, as hashlib's objects are."""

    def update(self, data: bytes | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...
    def copy(self) -> Checksum: ...


def new_checksum(name: ChecksumName) -> Checksum:
    """The checksum of no bytes."""
    if name == "sha256":
        return hashlib.sha256()
    import xxhash

    return xxhash.xxh3_128()


class Checkpoint(NamedTuple):
    """The first ``size`` bytes of a file are on the disk, and have this checksum."""

    size: int
    digest: str


@dataclass
class RecordFileState:
    """What a .rec file holds so far.

    Attributes:
        checksum_name: what ``checksum`` is.
        size: bytes, a whole number of records.
        keys, offsets: of each record; the offset of its first magic number.
        backends: who made each record, as indices into `BACKENDS`.
        checksum: of the file's bytes.
    """

    checksum_name: ChecksumName = "sha256"
    size: int = 0
    keys: array[int] = field(default_factory=lambda: array("Q"))
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    backends: bytearray = field(default_factory=bytearray)
    checksum: Checksum = field(init=False)

    def __post_init__(self) -> None:
        self.checksum = new_checksum(self.checksum_name)

    def cut(self, path: Path, records: int) -> None:
        """Keep the first ``records`` records only."""
        if records < len(self.keys):
            self.size = self.offsets[records]
            del self.keys[records:], self.offsets[records:], self.backends[records:]
            self.checksum = new_checksum(self.checksum_name)
            with path.open("rb") as file:
                _update(self.checksum, file, self.size)

    def packed_by(self) -> dict[str, int]:
        """How many records each backend made."""
        counts = ((name, self.backends.count(code)) for code, name in enumerate(BACKENDS))
        return {name: count for name, count in counts if count}


class Journal:
    """The checkpoints of one .rec: a line with the id of the system's start, then a line for each checkpoint.

    Args:
        path: of the journal.

    Attributes:
        same_boot: the system has not been restarted since the checkpoints were written.
        checkpoints: in the order they were made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.same_boot = False
        self.checkpoints: list[Checkpoint] = []
        lines = _whole_lines(path)
        with contextlib.suppress(ValueError, TypeError, StopIteration):
            boot = json.loads(next(lines))
            self.same_boot = boot is not None and boot == _boot_id()
            for line in lines:
                size, digest = json.loads(line)
                self.checkpoints.append(Checkpoint(int(size), str(digest)))

    def restart(self, size: int) -> None:
        """Keep the checkpoints of the first ``size`` bytes, and note that this start of the system writes the rest."""
        self.checkpoints = [point for point in self.checkpoints if point.size <= size]
        lines = [_boot_id(), *self.checkpoints]
        write_atomically(self._path, b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        self.same_boot = True

    def add(self, point: Checkpoint) -> None:
        """Append a checkpoint, synced. Called from the writer's syncing thread.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            with self._path.open("ab") as file:
                file.write(json.dumps(point).encode() + b"\n")
                file.flush()
                sync_file(file.fileno())
        except OSError as error:
            raise unwritable(self._path, error) from error


def recover(
    path: Path, checkpoints: Sequence[Checkpoint], checksum_name: ChecksumName = "sha256", *, trust_tail: bool
) -> RecordFileState:
    """What of an interrupted run's .rec can be kept: whole records, as far as the checkpoints prove them.

    Args:
        checkpoints: of this file, in the order they were made, with ``checksum_name``.
        trust_tail: keep whole records after the last checkpoint too. Safe after a killed process, whose writes the
            system finishes; not after a power cut, where a file may have grown before its bytes arrived.
    """
    state = RecordFileState(checksum_name)
    if not path.exists():
        return state
    good, checksum = _proved(path, checkpoints, checksum_name)
    limit = path.stat().st_size if trust_tail else good
    with path.open("rb") as file:
        with contextlib.suppress(FormatError):  # the tail that the run was writing when it died
            for record in recordio.scan_headers(file, path=str(path)):
                if record.end > limit:
                    break
                state.keys.append(record.key)
                state.offsets.append(record.offset)
                state.size = record.end
        if state.size >= good:
            file.seek(good)
            _update(checksum, file, state.size - good)
            state.checksum = checksum
    state.backends = _made_by(path, len(state.keys))
    return state if state.size >= good else RecordFileState(checksum_name)


def _made_by(path: Path, records: int) -> bytearray:
    try:
        noted = path.with_suffix(MADE_BY).read_bytes()[:records]
    except OSError:
        noted = b""
    known = bytes(code if code < len(BACKENDS) else 0 for code in noted)
    return bytearray(known.ljust(records, b"\0"))


def _proved(path: Path, checkpoints: Iterable[Checkpoint], name: ChecksumName) -> tuple[int, Checksum]:
    """How many bytes the checkpoints prove, and the checksum of these."""
    good, proven, checksum = 0, new_checksum(name), new_checksum(name)
    with path.open("rb") as file:
        for point in checkpoints:
            _update(checksum, file, point.size - good)
            if checksum.hexdigest() != point.digest:
                break
            good, proven = point.size, checksum.copy()
    return good, proven


def _update(checksum: Checksum, file: BinaryIO, count: int) -> None:
    while count > 0 and (block := file.read(min(count, _READ_BYTES))):
        checksum.update(block)
        count -= len(block)


def _whole_lines(path: Path) -> Iterator[bytes]:
    """The lines that end; a last one without its end was cut off when the run died."""
    try:
        return iter(path.read_bytes().split(b"\n")[:-1])
    except FileNotFoundError:
        return iter(())


def _boot_id() -> str | None:
    """An id of this start of the system; None where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
