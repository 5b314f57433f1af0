"""How a dataset is divided: ``label``, ``count=N``, ``size=256MiB`` or ``fraction=train=.9,val=.1``."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from gpu_pack.errors import UsageError
from gpu_pack.sources.splits import Division, split_pair
from gpu_pack.sources.splits import divide as divide_by_fractions
from gpu_pack.tools.safe_names import UniquePaths, safe_part

Kind = Literal["label", "count", "size", "fraction"]
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}
_SIZE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([kmg]i?|)b?", re.IGNORECASE)
_MAX_FILES = 99_999


@dataclass(frozen=True)
class DivideBy:
    """What decides the file of a record.

    Attributes:
        kind: ``label``: a file for each label; ``count``: at most ``number`` records a file; ``size``: at most
            ``number`` bytes a .rec; ``fraction``: splits that share the records.
        number: for ``count`` and ``size``.
        fractions: names and fractions for ``fraction``, as ``train=.9`` each.
    """

    kind: Kind
    number: int = 0
    fractions: tuple[str, ...] = ()


def parse_by(text: str) -> DivideBy:
    """``--by`` as people write it.

    Raises:
        UsageError: another form.
    """
    kind, equals, value = text.partition("=")
    if kind not in get_args(Kind) or (kind == "label") == bool(equals):
        raise UsageError(f"by={text} (--by): write label, count=N, size=256MiB or fraction=train=.9,val=.1")
    if kind == "fraction":
        return DivideBy("fraction", fractions=tuple(value.split(",")))
    if kind == "label":
        return DivideBy("label")
    number = _size(value) if kind == "size" else int(value) if re.fullmatch(r"\d{1,18}", value, re.ASCII) else 0
    if number < 1:
        form = "bytes, as 256MiB or 1GB" if kind == "size" else "a whole number of records"
        raise UsageError(f"by={text} (--by): {kind} takes {form}, at least 1")
    return DivideBy("size" if kind == "size" else "count", number)


def _size(text: str) -> int:
    found = _SIZE.fullmatch(text)
    return int(float(found[1]) * _UNITS[found[2].lower()]) if found and len(text) <= 30 else 0


class Rows(NamedTuple):
    """Records of one split, in order.

    Attributes:
        split: its name.
        rows: numbers of records, over all inputs.
    """

    split: str
    rows: array[int]


class Columns(NamedTuple):
    """What is known of every record: its first label, and its size in the file in bytes."""

    firsts: array[float]
    sizes: array[int]


class NamedRows(NamedTuple):
    """One .rec to be: its split, its name without suffix, and its rows."""

    split: str
    name: str
    rows: array[int]


def divide_rows(
    by: DivideBy, splits: Sequence[Rows], columns: Columns, division: Division, classes: tuple[str, ...] | None
) -> list[NamedRows]:
    """The files, in order.

    Args:
        splits: the dataset's own; they stay, except for fractions, which need a single one.
        division: seed, shuffle and stratify; and the fractions.
        classes: names by label.

    Raises:
        UsageError: fractions of several splits, an empty split, or too many labels for files.
    """
    if by.kind == "fraction":
        return _by_fraction(splits, columns, division, classes)
    if by.kind == "label":
        return [each for rows in splits for each in _by_label(rows, columns, classes)]
    files = []
    for split, rows in splits:
        parts = _by_count(rows, by.number) if by.kind == "count" else _by_size(rows, columns.sizes, by.number)
        files += _numbered(split, list(parts))
    return files


def _numbered(split: str, parts: Sequence[array[int]]) -> list[NamedRows]:
    if len(parts) > _MAX_FILES:
        raise UsageError(f"by (--by): split {split} would be {len(parts):,} files, and {_MAX_FILES:,} are the most")
    if len(parts) == 1:
        return [NamedRows(split, split, parts[0])]
    names = [f"{split}-{number:05d}-of-{len(parts):05d}" for number in range(len(parts))]
    return [NamedRows(split, name, rows) for name, rows in zip(names, parts, strict=True)]


def _by_count(rows: array[int], count: int) -> Iterator[array[int]]:
    for begin in range(0, len(rows), count):
        yield rows[begin : begin + count]


def _by_size(rows: array[int], sizes: array[int], most: int) -> Iterator[array[int]]:
    """Full files but the last; a record that is larger than ``most`` has one of its own."""
    begin = size = 0
    for place, row in enumerate(rows):
        if place > begin and size + sizes[row] > most:
            yield rows[begin:place]
            begin, size = place, 0
        size += sizes[row]
    if begin < len(rows):
        yield rows[begin:]


def _by_label(rows: Rows, columns: Columns, classes: tuple[str, ...] | None) -> Iterator[NamedRows]:
    """A file for each first label, lowest first, called SPLIT-CLASS."""
    found: dict[float, array[int]] = {}
    for row in rows.rows:
        found.setdefault(columns.firsts[row], array("q")).append(row)
    if len(found) > _MAX_FILES:
        raise UsageError(f"by=label (--by): {len(found):,} different labels are no classes")
    names = UniquePaths()
    for number, label in enumerate(sorted(found)):
        whole = label.is_integer() and classes is not None and 0 <= label < len(classes)
        name = classes[int(label)] if whole and classes is not None else f"{label:.9g}"
        (name,) = names.add([safe_part(f"{rows.split}-{name}")], number)
        yield NamedRows(rows.split, name, found[label])


def _by_fraction(
    splits: Sequence[Rows], columns: Columns, division: Division, classes: tuple[str, ...] | None
) -> list[NamedRows]:
    if len(splits) > 1:
        names = ", ".join(each.split for each in splits)
        raise UsageError(f"by=fraction (--by): there are splits already, {names}: choose one of them (--split NAME)")
    (own,) = splits
    labels = [(columns.firsts[row],) for row in own.rows]
    shards = divide_by_fractions(labels, division, classes=classes is not None)
    return [NamedRows(each.split, each.name, array("q", (own.rows[row] for row in each.rows))) for each in shards]


def fractions(by: DivideBy) -> tuple[tuple[str, str], ...]:
    """Name and fraction of each split, for `Division`.

    Raises:
        UsageError: no such pair.
    """
    return tuple(split_pair(text) for text in by.fractions)
