"""What the records of a .rec say, in a few bytes a record."""

from __future__ import annotations

import hashlib
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class RecordTable:
    """The whole records of a file in its order; 28 bytes each.

    Attributes:
        keys: ids of the headers.
        offsets: where the records begin, in bytes.
        codes: `label_code` of their labels.
        firsts: the first label of each.
        entries: lines of the .lst beside the file.
        sha256: of the file, if it was computed.
    """

    keys: array[int] = field(default_factory=lambda: array("Q"))
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    codes: array[int] = field(default_factory=lambda: array("Q"))
    firsts: array[float] = field(default_factory=lambda: array("f"))
    entries: int = 0
    sha256: str | None = None


class KeyLookup:
    """Finds keys by binary search; 16 bytes a record."""

    def __init__(self, keys: array[int]) -> None:
        import numpy as np

        self._order = np.argsort(np.asarray(keys), kind="stable")
        self._sorted = np.asarray(keys)[self._order]

    def find(self, key: int) -> int:
        """The row of the first record with this key, 0 <= key < 2**64; -1 if there is none."""
        import numpy as np

        position = int(np.searchsorted(self._sorted, np.uint64(key)))
        found = position < len(self._sorted) and self._sorted[position] == key
        return int(self._order[position]) if found else -1

    def repeated(self) -> list[int]:
        """The rows whose key an earlier row has."""
        again = self._order[1:][self._sorted[1:] == self._sorted[:-1]]
        return sorted(int(row) for row in again)


def label_code(labels: Sequence[float]) -> int:
    """64 bits that identify labels as float32: a single label's own bits, or a hash with bit 63 set; -0 is 0.

    Raises:
        OverflowError: a label that float32 does not hold.
    """
    packed = struct.pack(f"<{len(labels)}f", *(label + 0.0 for label in labels))
    if len(packed) == 4:
        return int.from_bytes(packed, "little")
    return int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "little") | 1 << 63
