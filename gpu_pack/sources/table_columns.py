"""Which columns of a table are the paths, the labels and the splits: as told, or by their usual names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gpu_pack.errors import SourceError, UsageError, told
from gpu_pack.sources.list_dialect import is_number
from gpu_pack.sources.source_options import NO_COLUMN, SourceOptions
from gpu_pack.sources.splits import split_name_fault
from gpu_pack.sources.table import Cell, Table, sample

#: Names of columns, likely ones first.
_PATHS = (
    ("image", "path", "file", "filename", "file_name", "filepath", "file_path", "image_path", "image_file",
     "image_name", "image_filename", "img", "img_path"),
    ("id", "image_id", "img_id", "name"),
)  # fmt: skip
_LABELS = (
    ("label", "labels", "class", "target", "category"),
    ("class_id", "label_id", "category_id", "target_id", "class_name", "label_name", "category_name", "classes"),
)
_SPLITS = (("split", "subset", "set", "partition"),)
#: Values of a column that is taken for splits without being named.
_FEW = 10
#: One of these makes a column of a usual name splits, whatever else is in it.
_SURE = frozenset({"train", "training", "val", "valid", "validation", "dev", "test", "testing"})
_Sample = Sequence[Mapping[str, Cell]]


class Columns(NamedTuple):
    """What the columns of a table are.

    Attributes:
        path: of the images; of Parquet files that hold them, the images.
        labels: one, or several that make a vector.
        split: None where there is none.
        guessed: some of them were not told.
    """

    path: str
    labels: tuple[str, ...]
    split: str | None
    guessed: bool

    @property
    def all(self) -> list[str]:
        """Path, split if any, labels."""
        return [self.path, *([self.split] if self.split is not None else []), *self.labels]

    def __str__(self) -> str:
        parts = [f"path={self.path}", f"label={', '.join(self.labels)}"]
        return ", ".join(parts + ([f"split={self.split}"] if self.split is not None else []))


def is_path_column(name: str) -> bool:
    """Whether a column of this name is taken for paths."""
    return any(name.strip().lower() in names for names in _PATHS)


def find_columns(table: Table, options: SourceOptions) -> Columns:
    """The columns that are told, and others by their names.

    Raises:
        UsageError: one that is told is not there.
        SourceError: there is none of a usual name, or several.
    """
    rows = sample(table)
    path = _told(table, "path_column", options.path_column) or _guess(table, "path_column", "paths", _PATHS)
    if path is None:
        raise SourceError(_none(table, "paths of images", "path_column"))
    split = find_split(table, options, rows)
    labels = find_labels(table, options, rows, {path, split})
    guessed = options.path_column is None or not options.label_column or split not in (None, options.split_column)
    return Columns(path, labels, split, guessed)


def find_split(table: Table, options: SourceOptions, rows: _Sample) -> str | None:
    """The column of splits; None: no such.

    One is guessed where it has few values and all could be splits, or where a usual split is among them: its other
    cells are refused as they are read, as rows for a test would be trained on without it.
    """
    if options.split_column == NO_COLUMN:
        return None
    if options.split_column is not None:
        return _told(table, "split_column", options.split_column)
    split = _guess(table, "split_column", "splits", _SPLITS)
    values = {_text(row[split]) for row in rows} if split is not None else set()
    sure = not _SURE.isdisjoint(value.lower() for value in values)
    return split if sure or (0 < len(values) <= _FEW and not any(map(split_name_fault, values))) else None


def find_labels(table: Table, options: SourceOptions, rows: _Sample, others: set[str | None]) -> tuple[str, ...]:
    """The columns of labels: told, of a usual name, or the only one that is left; ``others`` are taken.

    Raises:
        UsageError, SourceError: see `find_columns`.
    """
    if options.label_column:
        return tuple(name for each in options.label_column if (name := _told(table, "label_column", each)))
    if (label := _guess(table, "label_column", "labels", _LABELS, others)) is not None:
        return (label,)
    numbers = [
        name
        for name in table.columns
        if name not in others and rows and all(is_number(_text(row[name])) for row in rows)
    ]
    if len(numbers) > 1:
        raise SourceError(
            f"{table.name}: no column of labels, and {len(numbers)} columns of numbers, {_listed(numbers)}: name those "
            "that make a label vector, each with label_column (--label-column), or the one that is the label"
        )
    left = [name for name in table.columns if name not in others]
    if len(left) == 1 and _recur([_text(row[left[0]]) for row in rows]):
        return (left[0],)
    raise SourceError(_none(table, "labels", "label_column"))


def _recur(values: Sequence[str]) -> bool:
    """Whether values come again, as those of classes do and those of captions do not."""
    return len(set(values)) < len(values)


def _told(table: Table, option: str, name: str | None) -> str | None:
    if name is not None and table.columns.count(name) != 1:
        fault = "several of these columns" if name in table.columns else "no such column"
        raise UsageError(f"{told(option, name)}: {table.name} has {fault}; it has {_listed(table.columns)}")
    return name


def _guess(
    table: Table, option: str, what: str, usual: Sequence[Sequence[str]], others: set[str | None] | None = None
) -> str | None:
    """The column of a usual name.

    Raises:
        SourceError: several are as likely.
    """
    for names in usual:
        found = [name for name in table.columns if name.lower() in names and name not in (others or ())]
        if len(found) > 1:
            flag = "--" + option.replace("_", "-")
            raise SourceError(
                f"{table.name}: {_listed(found)} may each be the column of {what}: name it, {option} ({flag})"
            )
        if found:
            return found[0]
    return None


def _none(table: Table, what: str, option: str) -> str:
    flag = "--" + option.replace("_", "-")
    if not table.columns:
        return f"{table.name}: no column of {what}: it has no columns of text or numbers at all"
    return (
        f"{table.name}: none of its columns, {_listed(table.columns)}, has a usual name for {what}: name it, {option} "
        f"({flag})"
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:12])
    return shown if len(names) <= 12 else f"{shown} and {len(names) - 12} more"


def _text(cell: Cell) -> str:
    return "" if cell is None else str(cell).strip()
