"""Compares the .idx and the .lst beside a .rec with its records."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator
from functools import partial
from itertools import islice

from gpu_pack.formats.record_keys import repeated_rows
from gpu_pack.recordio.index import parse_index_line
from gpu_pack.stores.data_path import DataPath
from gpu_pack.tools.faults import Faults
from gpu_pack.tools.record_table import KeyLookup, RecordTable, label_code
from gpu_pack.tools.text_lines import MAX_BAD_LINES, list_entry, parsed_lines, text_lines
from gpu_pack.types import Entry

_MAX_INDEX_LINE = 256


def check_index(path: DataPath, table: RecordTable, ids_count: bool, faults: Faults) -> None:
    """Check that every line leads to a record, that every record has a line, and that no key comes twice.

    Args:
        ids_count: the keys must be the table's, which are the records' ids. An index that numbers the records 0, 1, 2,
            ... whatever their ids, as rec2idx does, is right too.
    """
    import numpy as np

    if table.keys and next(text_lines(path), None) is None:
        what = f"it is empty, and the .rec holds {len(table.keys):,} records: `gpu-pack index --overwrite` rebuilds it"
        faults.add(path, what)
        return
    keys, rows, numbers = _index_rows(path, table, faults)
    covered = np.zeros(len(table.keys), np.bool_)
    covered[np.asarray(rows)] = True
    if ids_count and keys != rows:
        for key, row, number in islice(_other_keys(table, keys, rows, numbers), MAX_BAD_LINES):
            what = f"the record at byte {table.offsets[row]} has the key {table.keys[row]}"
            faults.add(path, what, key=key, line=number)
    for line in repeated_rows(keys):
        what = "an earlier line has the same key: `gpu-pack index --rekey --overwrite` numbers all records anew"
        faults.add(path, what, key=keys[line], line=numbers[line])
    for row in np.flatnonzero(~covered).tolist():
        what = f"no line leads to the record at byte {table.offsets[row]}; `gpu-pack index --overwrite` rebuilds it"
        faults.add(path, what, key=table.keys[row])


def _index_rows(path: DataPath, table: RecordTable, faults: Faults) -> tuple[array[int], array[int], array[int]]:
    """Key, row and number of each line that leads to a record, and is the first to do so."""
    import numpy as np

    keys, rows, numbers = array("Q"), array("Q"), array("Q")
    offsets = np.asarray(table.offsets)
    covered = bytearray(len(offsets))
    expected = 0
    for number, (key, offset) in parsed_lines(path, _index_line, faults, _MAX_INDEX_LINE):
        row = expected
        if row >= len(offsets) or table.offsets[row] != offset:
            row = int(np.searchsorted(offsets, np.uint64(offset)))
        if row >= len(offsets) or table.offsets[row] != offset:
            faults.add(path, f"no whole record begins at byte {offset}", key=key, line=number)
            continue
        expected = row + 1
        if covered[row]:
            faults.add(path, f"an earlier line leads to byte {offset} already", key=key, line=number)
            continue
        covered[row] = True
        keys.append(key)
        rows.append(row)
        numbers.append(number)
    return keys, rows, numbers


def _other_keys(
    table: RecordTable, keys: array[int], rows: array[int], numbers: array[int]
) -> Iterator[tuple[int, int, int]]:
    for key, row, number in zip(keys, rows, numbers, strict=True):
        if key != table.keys[row]:
            yield key, row, number


def _index_line(line: bytes, number: int) -> tuple[int, int]:
    if (entry := parse_index_line(line)) is None:
        raise ValueError("the line is not key<TAB>offset; `gpu-pack index --overwrite` rebuilds it")
    return entry


def check_list(
    path: DataPath, table: RecordTable, lookup: KeyLookup, rejects: Collection[int] | None, faults: Faults
) -> None:
    """Check that the entries are the records, in their order and with their labels, or rejects; count them.

    Args:
        rejects: keys that need no record; None if they are not known, and then any entry may have none.
    """
    import numpy as np

    covered = np.zeros(len(table.keys), np.bool_)
    expected = 0
    for number, entry in parsed_lines(path, partial(list_entry, path), faults):
        table.entries += 1
        row = expected
        if row >= len(table.keys) or table.keys[row] != entry.key:
            if rejects is not None and entry.key in rejects:
                continue
            row = lookup.find(entry.key)
        wrong = _entry_fault(entry, row, expected, table, rejects is not None)
        if row >= 0:
            wrong = "an earlier line has the same key" if covered[row] else wrong
            covered[row] = True
            expected = max(expected, row + 1)
        if wrong:
            faults.add(path, wrong, key=entry.key, line=number)
    covered[np.asarray(table.metadata, dtype=np.int64)] = True  # a list names pictures
    for row in np.flatnonzero(~covered).tolist():
        faults.add(path, f"the record at byte {table.offsets[row]} is not listed", key=table.keys[row])


def _entry_fault(entry: Entry, row: int, expected: int, table: RecordTable, strict: bool) -> str | None:
    if row < 0:
        return "the entry is neither a record nor among the rejects" if strict else None
    if row < expected:
        return "its record comes before the one of an earlier line"
    labels = entry.labels if strict or table.codes[row] >> 63 else entry.labels[:1]  # im2rec without --pack-label
    if table.codes[row] != label_code(labels):
        return f"its record's label is another one ({table.firsts[row]:g} first)"
    return None
