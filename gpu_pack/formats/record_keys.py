"""Which key each record of a .rec has: every reader of records asks here.

The .idx decides, as in MXNet, whatever the ids in the headers are: many writers leave them 0. Without an .idx, or with
one that cannot be right, the key is the header's id, or, where ids repeat, the position in the file, which is the key
that `gpu-pack index --rekey` gives. In a dataset that `gpu-pack create` published, ids and keys agree.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from gpu_pack.errors import FormatError
from gpu_pack.formats.notices import Notice
from gpu_pack.recordio.index import index_entries
from gpu_pack.recordio.scanning import ReadAt, read_record_header
from gpu_pack.stores.data_path import DataPath


@dataclass(frozen=True)
class RecordKeys:
    """The keys of one file's records; without contents, each record's id.

    Attributes:
        offsets: ascending, of the records whose keys are in ``keys``.
        repeated: a warning, if ids repeat and the keys are positions.
    """

    offsets: array[int] = field(default_factory=lambda: array("Q"))
    keys: array[int] = field(default_factory=lambda: array("Q"))
    repeated: Notice | None = None

    def of(self, offset: int, record_id: int) -> int:
        """The key of the record at ``offset``; its id if nothing else is known."""
        place = bisect_left(self.offsets, offset)
        found = place < len(self.offsets) and self.offsets[place] == offset
        return self.keys[place] if found else record_id


EMPTY_INDEX = "it is empty, and the .rec is not; `gpu-pack index --overwrite` rebuilds it from the records"
#: Each record's key is its id.
NO_KEYS = RecordKeys()


def index_lines(path: DataPath) -> tuple[array[int] | None, array[int]]:
    """Keys and offsets of an .idx, in its order; None for the keys if not all of them are whole numbers.

    Raises:
        FormatError: a malformed line.
        OSError: the file cannot be read.
    """
    keys, offsets = array("Q"), array("Q")
    with path.open("rb") as file:
        for text, offset in index_entries(file, str(path), str):
            offsets.append(offset)
            if text.isascii() and text.isdigit() and len(text) <= 20 and int(text) < 1 << 64:
                keys.append(int(text))
    return keys if len(keys) == len(offsets) else None, offsets


def by_index(path: DataPath) -> RecordKeys:
    """The keys that an .idx gives.

    Raises:
        FormatError: a malformed line, no line at all, or a key that is no whole number or comes twice.
        OSError: the file cannot be read.
    """
    import numpy as np

    keys, offsets = index_lines(path)
    if not offsets:
        raise FormatError(EMPTY_INDEX, str(path))
    if keys is None:
        raise FormatError("not all of its keys are whole numbers", str(path))
    if repeated := repeated_rows(keys):
        message = f"the key {keys[repeated[0]]} comes twice; `gpu-pack index --rekey --overwrite` numbers them anew"
        raise FormatError(message, str(path))
    order = np.argsort(np.asarray(offsets), kind="stable")
    return RecordKeys(array("Q", np.asarray(offsets)[order].tobytes()), array("Q", np.asarray(keys)[order].tobytes()))


def by_headers(records: Iterable[tuple[int, int]], path: DataPath) -> RecordKeys:
    """The ids if none comes twice, else positions.

    Args:
        records: offset and id of each record, in the file's order; without an image header, its id is -1.
        path: of the .rec, for the warning.
    """
    ids, offsets = array("Q"), array("Q")
    rows = array("Q")  # of those with an id
    for offset, record_id in records:
        offsets.append(offset)
        if record_id >= 0:
            rows.append(len(offsets) - 1)
            ids.append(record_id)
    repeated = repeated_rows(ids)
    if not repeated:
        return NO_KEYS
    example = f"id {ids[repeated[0]]} in {path}"
    return RecordKeys(offsets, array("Q", range(len(offsets))), Notice("repeated-keys", len(repeated), example))


def reaches_on(read_at: ReadAt, last: int, size: int) -> bool:
    """Whether a whole record follows the one at byte ``last``."""
    with suppress(FormatError):
        end = read_record_header(read_at, last, size).end
        read_record_header(read_at, end, size)
        return True
    return False


def repeated_rows(keys: array[int]) -> list[int]:
    """The rows whose key an earlier row has, ascending."""
    import numpy as np

    found = np.asarray(keys)
    order = np.argsort(found, kind="stable")
    ordered = found[order]
    return sorted(order[1:][ordered[1:] == ordered[:-1]].tolist())


def metadata_notice(count: int, key: int, path: DataPath) -> Notice:
    """The note about records without a picture, of which one has ``key``."""
    return Notice("metadata-records", count, f"key {key} of {path}")
