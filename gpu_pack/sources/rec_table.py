"""The pictures of a .rec in columns, read from its records' headers; no picture is read that lies in one piece."""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gpu_pack.errors import SourceError
from gpu_pack.formats.boxes import held_labels
from gpu_pack.formats.notices import Notice
from gpu_pack.formats.record_keys import RecordKeys, by_headers
from gpu_pack.formats.salvage_scan import OVERLONG, Damage, FoundRecord, salvage_scan
from gpu_pack.recordio.scanning import ReadAt, read_record
from gpu_pack.recordio.searched_file import SearchedFile
from gpu_pack.stores.store import OpenFile, Store
from gpu_pack.types import Container

Values = tuple[float, ...]
#: Puts the bytes of a picture into the spool; gives their offset.
Put = Callable[[bytes], int]

#: Read at once for a header on this machine, and where every read is a request.
_LOCAL_BLOCK, _REMOTE_BLOCK = 4 << 10, 8 << 20


class LabelValues(dict[Values, Values]):
    """The label values of records, fractions with the fewest digits: one tuple for all records that share them."""

    def __missing__(self, held: Values) -> Values:
        finite = all(map(math.isfinite, held))
        short = held_labels((), held) if finite else held
        found = self[held] = tuple(
            value if value.is_integer() else fraction for value, fraction in zip(held, short, strict=True)
        )
        return found


@dataclass
class RecTable:
    """The pictures of one file in its order; 24 bytes and a label each.

    Attributes:
        path: in the store.
        container: the file.
        keys: of the pictures; see `gpu_pack.formats.record_keys`.
        offsets, sizes: of the pictures in the file, in bytes; the offset of a spooled one is meaningless.
        labels: of the pictures.
        spooled: offsets in the spool, by row, of pictures that do not lie in one piece.
        metadata: keys of the records without a picture.
        damage: offset and reason of each damaged place.
        repeated: the warning, where ids repeat and the keys are positions.
    """

    path: str
    container: Container
    keys: array[int] = field(default_factory=lambda: array("Q"))
    offsets: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    labels: list[Values] = field(default_factory=list)
    spooled: dict[int, int] = field(default_factory=dict)
    metadata: list[int] = field(default_factory=list)
    damage: list[tuple[int, str]] = field(default_factory=list)
    repeated: Notice | None = None


def read_table(store: Store, path: str, index: RecordKeys | None, values: LabelValues, put: Put) -> RecTable:
    """All headers of a file.

    Args:
        store, path: of the file.
        index: the keys that its .idx gives; None: there is none that can be used.
        values: of all files.
        put: for pictures that do not lie in one piece.

    Raises:
        SourceError: it cannot be read, or is no .rec with image records.
    """
    with store.open(path) as file:
        remote = store.local_path(path) is None
        searched = SearchedFile(_buffered(file, _REMOTE_BLOCK if remote else _LOCAL_BLOCK), file.stat.size)
        table = RecTable(path, Container(path, *file.stat))
        begins, ids = array("Q"), array("Q")
        without_picture = array("Q")
        for item in salvage_scan(searched, payloads=False):
            if isinstance(item, Damage):
                if item.kind == "foreign":
                    raise SourceError(f"{os.path.join(store.root, path)}: {item.reason}")
                table.damage.append((item.offset, item.reason))
            elif item.overlong:
                table.damage.append((item.offset, OVERLONG))
            else:
                if item.is_metadata:
                    without_picture.append(len(begins))
                else:
                    _add(table, item, values, searched, put)
                begins.append(item.offset)
                ids.append(item.info.key)
    _set_keys(table, begins, ids, without_picture, index)
    return table


def _add(table: RecTable, item: FoundRecord, values: LabelValues, file: SearchedFile, put: Put) -> None:
    info = item.info
    if info.data_offset is None:
        file.begin_record(info.offset)
        payload = read_record(file.read_at, info.offset, file.size).payload
        table.spooled[len(table.sizes)] = put(payload[len(payload) - info.data_size :])
    table.offsets.append(info.data_offset or 0)
    table.sizes.append(info.data_size)
    table.labels.append(values[info.labels])


def _set_keys(
    table: RecTable, begins: array[int], ids: array[int], without_picture: array[int], index: RecordKeys | None
) -> None:
    """The keys of all records that begin at ``begins``: by the index unless more records follow where ids repeat."""
    chosen = index
    if chosen is None or (begins and chosen.offsets and begins[-1] > chosen.offsets[-1]):
        by_id = by_headers(zip(begins, ids, strict=True), Path(table.path))
        table.repeated = by_id.repeated
        if chosen is None or by_id.repeated is not None:
            chosen = by_id
    keys = array("Q", map(chosen.of, begins, ids))
    table.metadata = [keys[row] for row in without_picture]
    skipped = set(without_picture)
    table.keys = keys if not skipped else array("Q", (key for row, key in enumerate(keys) if row not in skipped))


def _buffered(file: OpenFile, block: int) -> ReadAt:
    """``read_at`` that asks the store for ``block`` bytes or more."""
    start, held = 0, b""

    def read_at(offset: int, count: int) -> bytes:
        nonlocal start, held
        if not start <= offset <= offset + count <= start + len(held):
            start, held = offset, file.read_at(offset, max(count, block))
        return held[offset - start : offset - start + count]

    return read_at
