"""Checks the records without pictures of InsightFace's layout (faces_emore).

Record 0 has the labels N + 1 and M: the keys 1 to N are pictures, N + 1 to M - 1 identities. An identity's record has
two labels, the key of its first picture and the key after its last one. Source: insightface's face_image_iter.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from gpu_pack.stores.data_path import DataPath
from gpu_pack.tools.faults import Faults
from gpu_pack.tools.record_table import RecordTable


class Ranges(NamedTuple):
    """How many pictures and identities record 0 promises."""

    pictures: int
    identities: int


class _Identity(NamedTuple):
    first: int
    end: int  # the key after its last picture
    row: int


def check_ranges(path: DataPath, table: RecordTable, faults: Faults) -> Ranges | None:
    """Check that all ranges fit each other and the pictures; None if the file does not have this layout."""
    import numpy as np

    keys = np.asarray(table.keys)
    zero = next((place for place, row in enumerate(table.metadata) if table.keys[row] == 0), None)
    if zero is None or table.seconds[zero] != table.seconds[zero]:
        return None
    row = table.metadata[zero]
    end, last = table.firsts[row], table.seconds[zero]
    if not (end.is_integer() and last.is_integer() and 1 <= end <= last):
        what = f"its labels {end:g} and {last:g} cannot be InsightFace's ends of the pictures' and the identities' keys"
        faults.add(path, what, table.offsets[row], 0)
        return None
    ranges = Ranges(int(end) - 1, int(last) - int(end))
    holds = np.ones(len(keys), np.bool_)
    holds[np.asarray(table.metadata)] = False
    whole = _check_kind(path, table, faults, (1, int(end)), holds)
    _check_kind(path, table, faults, (int(end), int(last)), ~holds)
    if ranges.identities:
        identities = list(_identities(path, table, faults, int(end), int(last)))
        _check_partition(path, table, faults, identities, int(end))
        if whole:
            inside = np.flatnonzero(holds & (keys >= 1) & (keys < int(end)))
            by_key = np.asarray(table.firsts)[inside[np.argsort(keys[inside])]]
            _check_labels(path, table, faults, identities, by_key)
    return ranges


def _check_kind(path: DataPath, table: RecordTable, faults: Faults, span: tuple[int, int], right: Any) -> bool:
    """Whether each key of ``span``, without its end, is that of one record, and all of those are ``right``."""
    import numpy as np

    keys = np.asarray(table.keys)
    inside = (keys >= span[0]) & (keys < span[1])
    picture = span[0] == 1
    what = "a picture, and it holds none" if picture else "an identity without a picture, and it holds one"
    for row in np.flatnonzero(inside & ~right).tolist():
        faults.add(path, f"InsightFace's record 0 says that it is {what}", table.offsets[row], table.keys[row])
    there = np.unique(keys[inside])
    missing = span[1] - span[0] - len(there)
    if missing:
        gaps = np.flatnonzero(there != np.arange(span[0], span[0] + len(there), dtype=np.uint64))
        first = span[0] + (int(gaps[0]) if len(gaps) else len(there))
        kind = f"{'pictures' if picture else 'identities'} have the keys {span[0]} to {span[1] - 1}"
        what = f"InsightFace's record 0 says that {kind}: {missing:,} are missing"
        faults.add(path, what, key=first)
    return not missing and bool(np.all(right[inside])) and len(there) == np.count_nonzero(inside)


def _identities(path: DataPath, table: RecordTable, faults: Faults, end: int, last: int) -> Iterator[_Identity]:
    for row, second in zip(table.metadata, table.seconds, strict=True):
        if not end <= table.keys[row] < last:
            continue
        first = table.firsts[row]
        if first.is_integer() and second.is_integer() and 1 <= first <= second <= end:
            yield _Identity(int(first), int(second), row)
        else:
            what = f"its range {first:g} to {second:g} is not within the keys of the pictures, 1 to {end - 1}"
            faults.add(path, what, table.offsets[row], table.keys[row])


def _check_partition(path: DataPath, table: RecordTable, faults: Faults, identities: list[_Identity], end: int) -> None:
    """Every picture belongs to one identity."""
    position = 1
    for first, after, row in [*sorted(identities), _Identity(end, end, -1)]:
        add = partial(faults.add, path)
        if first < position:
            what = f"its range {first} to {after - 1} begins inside another identity's, which ends with {position - 1}"
            add(what, table.offsets[row], table.keys[row])
        elif first > position:
            add(f"the pictures {position} to {first - 1} belong to no identity", key=position)
        position = max(position, after)


def _check_labels(path: DataPath, table: RecordTable, faults: Faults, identities: list[_Identity], labels: Any) -> None:
    """All pictures of an identity have one label. ``labels`` are those of the keys 1, 2, ..."""
    import numpy as np

    changes = np.concatenate([[0], np.cumsum(labels[1:] != labels[:-1])])
    for first, after, row in identities:
        if after - first > 1 and changes[after - 2] != changes[first - 1]:
            what = f"its range {first} to {after - 1} holds pictures of several labels"
            faults.add(path, what, table.offsets[row], table.keys[row])
