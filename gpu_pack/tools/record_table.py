"""What the records of a .rec say, in a few bytes a record."""

from __future__ import annotations

import hashlib
import math
import struct
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gpu_pack.formats.notices import Notice
from gpu_pack.formats.published_file import PublishedFile
from gpu_pack.formats.record_keys import metadata_notice
from gpu_pack.formats.salvage_scan import FoundRecord
from gpu_pack.stores.data_path import DataPath


@dataclass
class RecordTable:
    """The whole records of a file in its order; 28 bytes each.

    Attributes:
        keys: see `gpu_pack.formats.record_keys`.
        offsets: where the records begin, in bytes.
        codes: `label_code` of their labels.
        firsts: the first label of each.
        metadata: rows of the records without a picture; ``seconds`` has the second label of each, or NaN.
        positions: the keys are positions, which no .lst can know.
        entries: lines of the .lst beside the file.
        hashes: of the file, if they were computed.
    """

    keys: array[int] = field(default_factory=lambda: array("Q"))
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    codes: array[int] = field(default_factory=lambda: array("Q"))
    firsts: array[float] = field(default_factory=lambda: array("f"))
    metadata: array[int] = field(default_factory=lambda: array("Q"))
    seconds: array[float] = field(default_factory=lambda: array("f"))
    positions: bool = False
    entries: int = 0
    hashes: PublishedFile | None = None

    def add(self, found: FoundRecord, key: int) -> None:
        """Add a row."""
        info = found.info
        if found.is_metadata:
            self.metadata.append(len(self.keys))
            self.seconds.append(info.labels[1] if len(info.labels) == 2 else math.nan)
        self.keys.append(key)
        self.offsets.append(info.offset)
        self.codes.append(label_code(info.labels))
        self.firsts.append(info.labels[0])

    @property
    def pictures(self) -> int:
        """How many records hold a picture."""
        return len(self.keys) - len(self.metadata)

    def picture_labels(self) -> Iterable[float]:
        """The first labels of the records with a picture."""
        without = set(self.metadata)
        return (label for row, label in enumerate(self.firsts) if row not in without) if without else self.firsts

    def notices(self, path: DataPath) -> list[Notice]:
        """The note about the records without a picture, if there are any."""
        if not self.metadata:
            return []
        return [metadata_notice(len(self.metadata), self.keys[self.metadata[0]], path)]


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


def label_code(labels: Sequence[float]) -> int:
    """64 bits that identify labels as float32: a single label's own bits, or a hash with bit 63 set; -0 is 0.

    Raises:
        OverflowError: a label that float32 does not hold.
    """
    packed = struct.pack(f"<{len(labels)}f", *(label + 0.0 for label in labels))
    if len(packed) == 4:
        return int.from_bytes(packed, "little")
    return int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "little") | 1 << 63
