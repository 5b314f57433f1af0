"""What a .rec file holds, and how much of an interrupted run's can be believed."""

from __future__ import annotations

import contextlib
import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from gpu_pack import recordio
from gpu_pack.errors import FormatError

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

#: Who can have made a record: `Encoded.backend`, and what is left of it when a power cut took the note away.
BACKENDS = ("unknown", "cpu", "gpu", "pass-through")
#: Suffix of the file with a byte a record: its maker, as an index into `BACKENDS`.
MADE_BY = ".made-by"
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
        noted = path.with_suffix(MADE_BY).read_bytes()[:records]
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
