"""The pictures of .rec files, to be packed again: in the files' order, with their labels and keys.

A picture is read where it lies in its record. One that magic numbers split is spooled. Damage costs the damaged records
alone: each place is a reject.
"""

from __future__ import annotations

import itertools
import math
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from gpu_pack.errors import SourceError
from gpu_pack.formats.notices import Notice
from gpu_pack.formats.record_keys import repeated_rows
from gpu_pack.sources.found import Facts, Found, Label
from gpu_pack.sources.open_source import OpenSource, SourceFiles
from gpu_pack.sources.rec_sidecars import RecSidecars
from gpu_pack.sources.rec_table import LabelValues, RecTable, Values, read_table
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.spool import Spool, SpoolFile, as_container
from gpu_pack.stores.store import Stat
from gpu_pack.types import Container, Place

Names = tuple[str, ...]


def open_records(files: SourceFiles, options: SourceOptions, classes: Names | None, spool: Spool) -> OpenSource:
    """The pictures of .rec files that make one set.

    Args:
        files: of one set, which may be divided into splits.
        options: ``rekey``.
        classes: names by label; labels that have names of their own are numbered by these.
        spool: for pictures that cannot be read where they lie.
    """
    facts = Facts(files.source, ordered=True, splits_bind=False)
    return OpenSource(files.store, _find(files, options, classes, spool, facts), facts)


def _find(
    files: SourceFiles, options: SourceOptions, classes: Names | None, spool: Spool, facts: Facts
) -> Iterator[Found]:
    """All pictures, once all headers are read.

    Raises:
        SourceError: a file that cannot be read, or holds no image records; no pictures.
    """
    beside = RecSidecars(files.store, spool)
    tables, spooled = _read_tables(files, beside, spool)
    facts.records = sum(len(table.sizes) for table in tables)
    if not facts.records and not any(table.damage for table in tables):
        raise SourceError(f"{files.source}: there is no record with a picture in it")
    beside.note_incomplete(tables)
    facts.notices += _metadata_notices(tables)
    splits = [beside.split(table.path) for table in tables]
    if len({split for split in splits if split is not None}) < 2:
        splits = [None] * len(tables)
    names = _class_names(tables, beside, classes, facts)
    keys = _Keys(tables, options.rekey)
    facts.notices += keys.notices
    for table, split, own_names in zip(tables, splits, names, strict=True):
        yield from _pictures(table, split, own_names, beside.paths(table), spooled, keys)
        yield from _damage(table, split, keys)
    facts.notices += beside.notices


def _read_tables(files: SourceFiles, beside: RecSidecars, spool: Spool) -> tuple[list[RecTable], Container | None]:
    """The headers of all files, and the spooled pictures."""
    values = LabelValues()
    with ExitStack() as stack:
        file: SpoolFile | None = None

        def put(data: bytes) -> int:
            nonlocal file
            if spool.dry:
                return 0
            if file is None:
                file = stack.enter_context(spool.create("records"))
            return file.append(data)

        tables = [read_table(files.store, path, beside.index(path), values, put) for path in files.paths]
    return tables, as_container(file.path) if file is not None else None


def _pictures(
    table: RecTable,
    split: str | None,
    names: Names | None,
    paths: Sequence[str] | None,
    spooled: Container | None,
    keys: _Keys,
) -> Iterator[Found]:
    version = table.container.version
    for row, (size, values) in enumerate(zip(table.sizes, table.labels, strict=True)):
        path = paths[row] if paths is not None else f"{table.path}!/{table.keys[row]}"
        key = table.keys[row] if keys.kept else None
        if not all(map(math.isfinite, values)):
            refused = f"its label {', '.join(map(str, values))} is not finite", "name"
            yield Found(path, Stat(size, version), (), split=split, key=key, refused=refused)
            continue
        place: Place | None = Place(table.container, table.offsets[row], size)
        if row in table.spooled:
            place = Place(spooled, table.spooled[row], size) if spooled is not None else None
        label: Label = names[int(values[0])] if names is not None else values
        yield Found(path, Stat(size, version), label, place, split, key)


def _damage(table: RecTable, split: str | None, keys: _Keys) -> Iterator[Found]:
    """A reject for each damaged place, with a key that no record has."""
    for offset, reason in table.damage:
        path = f"{table.path}!/byte {offset}"
        key = next(keys.free) if keys.kept else None
        yield Found(path, Stat(-1, table.container.version), (), split=split, key=key, refused=(reason, "damaged"))


class _Keys:
    """Whether the pictures keep their keys.

    Attributes:
        kept: they do; otherwise they are numbered anew.
        free: keys that no record has.
        notices: that they are numbered anew, where nobody asked for it.
    """

    def __init__(self, tables: Sequence[RecTable], rekey: bool) -> None:
        together = array("Q")
        for table in tables:
            together += table.keys
            together.extend(table.metadata)
        rows = repeated_rows(together)
        in_files = [table.repeated for table in tables if table.repeated is not None]
        self.kept = not (rekey or rows or in_files)
        self.free = self._free(together)
        self.notices: list[Notice] = []
        if not rekey and in_files:
            self.notices = [Notice("keys-renumbered", sum(each.count for each in in_files), in_files[0].example)]
        elif not rekey and rows:
            self.notices = [Notice("keys-renumbered", len(rows), f"key {together[rows[0]]}")]

    @staticmethod
    def _free(keys: array[int]) -> Iterator[int]:
        taken = set(keys)
        return (key for key in itertools.count() if key not in taken)


def _metadata_notices(tables: Sequence[RecTable]) -> list[Notice]:
    found = [table for table in tables if table.metadata]
    count = sum(len(table.metadata) for table in found)
    return [Notice("metadata-records", count, f"key {found[0].metadata[0]} of {found[0].path}")] if found else []


def _class_names(
    tables: Sequence[RecTable], beside: RecSidecars, classes: Names | None, facts: Facts
) -> list[Names | None]:
    """By table, the names that stand for its labels' numbers; None where the numbers stay.

    They stay with the names that all files have, in `Facts.numbered`.

    Raises:
        SourceError: files whose numbers mean different classes, and label vectors of them.
    """
    found = [beside.classes(table.path) for table in tables]
    lists = dict.fromkeys(names for names in found if names is not None)
    if not lists:
        return found
    first = next(iter(lists))
    each = [names if names is not None else first for names in found]
    labels = [set(table.labels) for table in tables]
    for table, names, values in zip(tables, each, labels, strict=True):
        if strange := next((value for value in values if not _has_names(value, len(names))), None):
            told = ", ".join(f"{value:.9g}" for value in strange[:5])
            beside.note_classes(table.path, f"label {told} of {table.path} is none of its {len(names)} classes")
            return [None] * len(tables)
    single = all(len(value) == 1 for values in labels for value in values)
    if len(lists) == 1 and (classes is None or not single):
        facts.numbered = first
        return [None] * len(tables)
    if not single:
        raise SourceError(
            f"{facts.source}: the classes.txt beside its files differ, and its label vectors cannot be told by names: "
            "pack the files one by one"
        )
    if classes is None:
        facts.class_names = sorted(set().union(*lists))
    return list(each)


def _has_names(values: Values, count: int) -> bool:
    return all(value.is_integer() and 0 <= value < count for value in values)
