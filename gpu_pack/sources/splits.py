"""Which image goes to which split and shard.

Each label is divided by itself (stratified), or all images as one. A split gets its fraction of the count, rounded down
or up: up where the rounding of earlier labels took the most from it, so that the totals are right too. A class with
fewer images than there are splits goes to the first one whole. With fractions that sum to 1 no image is left out.
"""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from gpu_pack.errors import UsageError, told
from gpu_pack.sources.columns import Column, raw
from gpu_pack.sources.labels import Labels
from gpu_pack.sources.row_sets import between_sets, keep_together
from gpu_pack.sources.shares import Shares

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Rows = npt.NDArray[np.integer[Any]]

#: What a source is divided into that nothing divides.
UNDIVIDED = (("train", Fraction(1)),)
#: Anything that may be meant as a fraction, also one that is out of range.
_NUMBER = re.compile(r"[-+]?([0-9][0-9.]*|\.[0-9]+)(e[-+]?[0-9]*)?(/[-+]?[0-9.]*)?|[-+]?(inf|nan|infinity)", re.I)
_SOURCE = re.compile(r"\w|/")
#: Of a split: their numbers have five digits.
MAX_SHARDS = 99_999
#: File systems take 255 bytes, and a file's name is longer than its split's.
_MAX_NAME_BYTES = 200


@dataclass(frozen=True)
class Division:
    """How to divide a listing.

    Attributes:
        splits: (name, fraction) in the order they are cut; fractions are over 0 and sum to at most 1. A mapping of
            names to fractions is taken too, and a fraction as a number or as text: 0.9 is nine tenths exactly. Empty:
            those of a source that is divided already, or else one, ``train``.
        seed: of the shuffle, NumPy's legacy MT19937, whose stream NumPy promises never to change.
        shuffle: shuffle the images of each split; otherwise they keep the listing's order. None shuffles, unless the
            source is a .lst or .rec that is not divided: its order counts.
        stratify: give every split its share of each label.
        shards: files that each split is divided into, in its order; None for one, or, in a plan that several machines
            pack, for what makes files of some 256 MiB.

    Raises:
        UsageError: a value that cannot be right.
    """

    splits: tuple[tuple[str, Fraction], ...] = ()
    seed: int = 100
    shuffle: bool | None = None
    stratify: bool = True
    shards: int | None = None

    def __post_init__(self) -> None:
        splits = _pairs(self.splits)
        object.__setattr__(self, "splits", splits)
        names = [name for name, _ in splits]
        for name, fraction in splits:
            if fault := split_name_fault(name):
                raise UsageError(f"splits {str(name)[:20]} (--split): {fault}")
            if not 0 < fraction <= 1:
                raise UsageError(f"splits {name}={_short(fraction)} (--split): a fraction is over 0 and at most 1")
            if names.count(name) > 1:
                raise UsageError(f"splits {name} (--split): named twice")
        total = sum((fraction for _, fraction in splits), Fraction(0))
        if total > 1:
            raise UsageError(f"splits (--split): the fractions sum to {_short(total)}, which is over 1")
        for name, low, high in (("seed", 0, 2**32 - 1), ("shards", 1, MAX_SHARDS)):
            value = getattr(self, name)
            if (type(value) is not int or not low <= value <= high) and not (name == "shards" and value is None):
                raise UsageError(f"{name}={value!r} (--{name}): a whole number between {low} and {high}")


def _pairs(splits: object) -> tuple[tuple[str, Fraction], ...]:
    """Splits as they may be given, as pairs."""
    try:
        items: Iterable[Any] = splits.items() if isinstance(splits, Mapping) else splits  # type: ignore[assignment]
        pairs = [(name, fraction) for name, fraction in items]
    except (TypeError, ValueError):
        raise UsageError(f"splits={splits!r} (--split): names with fractions, as in {{'train': 0.9}}") from None
    return tuple((name, as_fraction(name, fraction)) for name, fraction in pairs)


def split_name_fault(name: object) -> str:
    """Why no split can be called so; empty where one can."""
    valid = isinstance(name, str) and all(letter.isalnum() or letter in "-_." for letter in name)
    if not isinstance(name, str) or not valid or not name or name[0] in "-.":
        return "a split's name is letters, digits, '-', '_', '.'"
    return f"a split's name has at most {_MAX_NAME_BYTES} bytes" if len(name.encode()) > _MAX_NAME_BYTES else ""


class OwnSplits(NamedTuple):
    """The splits of a source that is divided already.

    Attributes:
        names: in order.
        rows: each row's, as a number among them.
        bind: fractions are not to divide the images anew.
    """

    names: tuple[str, ...]
    rows: Column
    bind: bool = True


class Shard(NamedTuple):
    """One .rec file: its split, its name without suffix, and the listing's rows in their order."""

    split: str
    name: str
    rows: array[int] | range


def split_pair(text: str) -> tuple[str, str]:
    """``NAME=FRACTION``, the fraction as ``0.8`` or ``4/5``, or ``NAME=SOURCE``, as a pair.

    Raises:
        UsageError: anything else.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"splits {text} (--split): write NAME=FRACTION, as in train=0.9, or NAME=SOURCE")
    return name.strip(), value.strip()


def is_split_source(value: object) -> bool:
    """Whether a split's value is the path or address of a source: what has a letter or a separator beside ``4/5``."""
    if isinstance(value, os.PathLike):
        return True
    return isinstance(value, str) and not _NUMBER.fullmatch(value) and bool(_SOURCE.search(value))


def as_fraction(name: object, value: object) -> Fraction:
    """A fraction from a number or from text, exactly as it is written: 0.9 is nine tenths.

    Raises:
        UsageError: not a number.
    """
    try:
        if re.search(r"[eE][-+]?\d{4}", str(value)):  # which would take minutes
            raise ValueError
        return value if isinstance(value, Fraction) else Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"splits {name}={value} (--split): write NAME=FRACTION, as in train=0.9") from None


def divide(
    labels: Sequence[tuple[float, ...]],
    division: Division,
    own: OwnSplits | None = None,
    *,
    classes: bool = False,
    firsts: Rows | None = None,
    shard_images: int | None = None,
) -> list[Shard]:
    """The shards of every split, in order; rows that the fractions leave out are in no shard.

    Args:
        labels: of each row; the first of them counts.
        division: the fractions, and the order.
        own: what each row's split is already; without it, the fractions decide.
        classes: every label is a class; see `is_class`.
        firsts: for each row the first one of the set that it belongs to; the fractions divide no set, and its first
            row's label counts for all of it. None: every row by itself.
        shard_images: the most images of a shard, where ``division.shards`` is None; None for all of a split.

    Raises:
        UsageError: a split would get no image, or fewer than it has shards.
    """
    import numpy as np

    labels = Labels.of(labels)
    # NumPy imports its generators only where one is made.
    random = None if division.shuffle is False else np.random.RandomState(division.seed)
    if own is not None:
        splits, kind = own.rows.numpy(), _kind(len(labels))
        parts = [(name, np.flatnonzero(splits == number).astype(kind)) for number, name in enumerate(own.names)]
    else:
        parts = _cut(labels, division, classes, random, firsts)
    shards: list[Shard] = []
    for name, rows in parts:
        ordered = np.sort(rows) if random is None else random.permutation(rows)
        most = shard_images or max(len(rows), 1)
        count = division.shards or min(-(-len(rows) // most), MAX_SHARDS)
        shards += _shards(name, ordered, count, division, len(labels))
    return shards


def _cut(
    labels: Labels,
    division: Division,
    classes: bool,
    random: np.random.RandomState | None,
    firsts: Rows | None,
) -> list[tuple[str, Rows]]:
    """The rows of each split by the fractions, shuffled by ``random`` first."""
    import numpy as np

    splits = division.splits or UNDIVIDED
    parts: list[list[Rows]] = [[np.empty(0, _kind(len(labels)))] for _ in splits]
    shares = Shares([fraction for _, fraction in splits])
    strata = _strata(labels, division.stratify, firsts)
    for label, rows in strata:
        ordered = random.permutation(rows) if random is not None else rows
        few = division.stratify and len(rows) < len(splits)
        if few and is_class(label, len(strata), len(labels), classes):
            parts[0].append(ordered)
            continue
        cuts = list(accumulate(shares.of(len(rows)), initial=0))
        if firsts is not None:
            ordered = keep_together(ordered, firsts)
            cuts = between_sets(ordered, firsts, cuts)
        for part, (start, end) in zip(parts, pairwise(cuts), strict=True):
            part.append(ordered[start:end])
    return [(name, np.concatenate(part)) for (name, _), part in zip(splits, parts, strict=True)]


def is_class(label: float, different: int, rows: int, classes: bool) -> bool:
    """Whether a label is a class and no measurement: all are with ``classes``, and else whole numbers that recur.

    Args:
        different: how many labels there are.
        rows: how many images; with two or less for each label, the labels are measurements.
    """
    return classes or (different * 2 < rows and float(label).is_integer())


def _strata(labels: Labels, stratify: bool, firsts: Rows | None) -> list[tuple[float, Rows]]:
    """First labels with the numbers of their rows, lowest first; all together without ``stratify``."""
    import numpy as np

    kind = _kind(len(labels))
    if not stratify:
        return [(0.0, np.arange(len(labels), dtype=kind))]
    ranks, different = labels.ranks()
    if firsts is not None:
        ranks = ranks[firsts]
    if np.all(ranks[1:] >= ranks[:-1]):  # as folders are listed
        order = np.arange(len(ranks), dtype=kind)
    else:
        order = np.argsort(ranks, kind="stable").astype(kind)
        ranks = ranks[order]
    starts = np.flatnonzero(ranks[1:] != ranks[:-1]) + 1
    found = different[ranks[np.concatenate([[0], starts])]].tolist()
    return [*zip(found, np.split(order, starts), strict=True)]


def _kind(rows: int) -> type[np.integer[Any]]:
    """The smallest kind of number for rows; a shuffle gives the same order for all."""
    import numpy as np

    return np.uint32 if rows < 1 << 32 else np.int64


def _shards(name: str, rows: Rows, shards: int, division: Division, total: int) -> list[Shard]:
    if not len(rows):
        way = "give it a larger fraction or leave it out"
        if division.stratify:
            way += (
                "; classes with fewer images than splits go to the first one whole, and stratify=False (--no-stratify) "
                "divides without regard to classes"
            )
        raise UsageError(f"split {name!r} would get no image of the {total} listed: {way}")
    if len(rows) < shards:
        raise UsageError(
            f"split {name!r} would get {len(rows)} images, fewer than {told('shards', shards)}, of the {total} listed: "
            "give it a larger fraction, or fewer shards"
        )
    names = [f"{name}-{number:05d}-of-{shards:05d}" for number in range(shards)] if shards > 1 else [name]
    cuts = pairwise([len(rows) * number // shards for number in range(shards + 1)])
    return [Shard(name, shard, _array(rows[low:high])) for shard, (low, high) in zip(names, cuts, strict=True)]


def _array(rows: Rows) -> array[int]:
    found = array("I" if rows.itemsize == 4 else "q")
    found.frombytes(raw(rows))
    return found


def _short(fraction: Fraction) -> str:
    return f"{float(fraction):g}"
