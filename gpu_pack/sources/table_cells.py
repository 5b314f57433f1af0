"""Cells of tables as labels, paths and splits."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from numbers import Real

from gpu_pack.errors import SourceError
from gpu_pack.formats import lst
from gpu_pack.sources.found import Label
from gpu_pack.sources.list_dialect import is_number
from gpu_pack.sources.splits import split_name_fault
from gpu_pack.sources.table import Cell

_NOT_FINITE = re.compile(r"[+-]?inf|[+-](?:nan|infinity)", re.IGNORECASE)
_BETWEEN = re.compile(r"[\s,;]+")


def read_labels(cells: Sequence[Cell], columns: Sequence[str], where: str) -> Label | None:
    """The label of a row: a word that is a class, a number, or several numbers as a vector; None where one is missing.

    Args:
        cells: one, or several that make a vector.
        columns: their names, for messages.
        where: the table and the row, for messages.

    Raises:
        SourceError: a label that no record can hold, or a word in a vector.
    """
    found = [_read(cell, column, where) for cell, column in zip(cells, columns, strict=True)]
    if None in found:
        return None
    if len(found) == 1:
        return found[0]
    for value, column in zip(found, columns, strict=True):
        if isinstance(value, str):
            raise SourceError(
                f"{where}: {value!r} in column {column!r} is no number, and several label columns make a label vector"
            )
    return tuple(number for values in found if isinstance(values, tuple) for number in values)


def _read(cell: Cell, column: str, where: str) -> Label | None:
    if isinstance(cell, list):
        values = [_read(each, column, where) for each in cell]
        if not values or any(not isinstance(each, tuple) or len(each) != 1 for each in values):
            raise SourceError(f"{where}: a list in column {column!r} that is no list of numbers")
        return tuple(each[0] for each in values if isinstance(each, tuple))
    text = cell_text(cell)
    if text is None:
        raise SourceError(f"{where}: a label is a number or a word, and column {column!r} has neither")
    try:
        return read_label(text)
    except ValueError as error:
        raise SourceError(f"{where}: {error}") from None


class RowLabels:
    """Reads the labels of rows, which all have as many values.

    Args:
        columns: of the labels.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._width, self._first = 0, ""

    def read(self, cells: Sequence[Cell], where: str) -> Label | None:
        """See `read_labels`.

        Raises:
            SourceError: also for a vector of another length than the first row's.
        """
        label = read_labels(cells, self._columns, where)
        if isinstance(label, tuple) and len(label) != self._width:
            if self._width:
                raise SourceError(
                    f"{where}: {len(label)} label values, and {self._first} has {self._width}: all rows need as many"
                )
            self._width, self._first = len(label), where
        return label


@functools.lru_cache(4096)
def read_label(text: str) -> Label | None:
    """A label as text files have it: a number, a word, or None for nothing or NaN.

    Raises:
        ValueError: a number that no record can hold, or several.
    """
    text = text.strip()
    if not text or text.lower() == "nan":
        return None
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"label {text!r} is not a finite number")
    numbers = _BETWEEN.split(text)
    if len(numbers) > 1 and all(map(is_number, numbers)):
        raise ValueError(
            f"{len(numbers)} numbers, {text[:40]!r}, where one label is: a label vector is columns of a table, each "
            "named with label_column (--label-column)"
        )
    return (lst.read_label(text),) if is_number(text) else text


def cell_text(cell: Cell) -> str | None:
    """A cell as text, whole numbers without a point, nothing as an empty text; None for what is no text or number."""
    if isinstance(cell, str):
        return cell.strip()
    if cell is None:
        return ""
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "surrogateescape").strip()
    if isinstance(cell, bool):
        return str(int(cell))
    if isinstance(cell, Real) or hasattr(cell, "as_tuple"):  # a Decimal is no Real
        value = float(cell)
        return str(int(cell)) if math.isfinite(value) and value.is_integer() else repr(value)
    return None


def read_split(cell: Cell, column: str, where: str) -> str:
    """The name of a split.

    Raises:
        SourceError: no split can be called so.
    """
    name = cell_text(cell)
    instead = "or leave the column alone with split_column='none' (--split-column none)"
    if not name:
        raise SourceError(f"{where}: no split in column {column!r}: fill it, {instead}")
    if fault := split_name_fault(name):
        raise SourceError(
            f"{where}: {name[:40]!r} in column {column!r} cannot name a split: {fault}; correct it, {instead}"
        )
    return name
