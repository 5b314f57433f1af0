"""Which image goes to which split and shard.

Every label is divided on its own (stratified) or all images as one. Each split gets its exact fraction of the count,
rounded down or up: up where rounding owes the most from the labels before, so that the totals are right too. With
fractions that sum to 1 no image is left over.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from math import lcm
from typing import TYPE_CHECKING, NamedTuple

from gpu_pack.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Rows = npt.NDArray[np.int64]

#: File systems take 255 bytes, and names of files are longer than their split's.
_MOST_NAME_BYTES = 200


@dataclass(frozen=True)
class Division:
    """How to divide a listing.

    Attributes:
        splits: (name, fraction) in the order they are cut; fractions are over 0 and sum to at most 1.
        seed: of the shuffle, numpy's legacy MT19937, whose stream NumPy promises never to change.
        shuffle: mix the images of each split; otherwise the listing's order stays. None mixes, unless the source is a
            .lst that nothing divides: its order counts.
        stratify: give every split its share of each label.
        shards: files a split is divided into, in its order.

    Raises:
        UsageError: a value that cannot be right.
    """

    splits: tuple[tuple[str, Fraction], ...] = (("train", Fraction(1)),)
    seed: int = 100
    shuffle: bool | None = None
    stratify: bool = True
    shards: int = 1

    def __post_init__(self) -> None:
        names = [name for name, _ in self.splits]
        for name, fraction in self.splits:
            if not name or not all(letter.isalnum() or letter in "-_." for letter in name) or name[0] in "-.":
                raise UsageError(f"--split {name}={_plain(fraction)}: a split's name is letters, digits, '-', '_', '.'")
            if len(name.encode()) > _MOST_NAME_BYTES:
                raise UsageError(f"--split {name[:20]}...: a split's name has at most {_MOST_NAME_BYTES} bytes")
            if not 0 < fraction <= 1:
                raise UsageError(f"--split {name}={_plain(fraction)}: a fraction is over 0 and at most 1")
            if names.count(name) > 1:
                raise UsageError(f"--split {name}: named twice")
        total = sum((fraction for _, fraction in self.splits), Fraction(0))
        if total > 1:
            raise UsageError(f"--split: the fractions sum to {_plain(total)}, which is over 1")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"--seed {self.seed}: between 0 and {2**32 - 1}")
        if not 1 <= self.shards <= 99_999:
            raise UsageError(f"--shards {self.shards}: between 1 and 99999")


class Shard(NamedTuple):
    """One .rec file to be: its split, its name without suffix, and the listing's rows in their order."""

    split: str
    name: str
    rows: array[int]


def parse_split(text: str) -> tuple[str, Fraction]:
    """``NAME=FRACTION``, the fraction as ``0.8`` or ``4/5``, kept exact.

    Raises:
        UsageError: anything else.
    """
    name, equals, number = text.partition("=")
    try:
        if not equals:
            raise ValueError(text)
        return name.strip(), Fraction(number.strip())
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"--split {text}: write NAME=FRACTION, as in train=0.9") from None


def divide(labels: Sequence[tuple[float, ...]], division: Division) -> list[Shard]:
    """The shards of every split, in order; rows that the fractions leave out are in none.

    Raises:
        UsageError: a split would get no image, or fewer than it has shards.
    """
    import numpy as np

    random, mix = np.random.RandomState(division.seed), division.shuffle is not False
    parts: list[list[Rows]] = [[] for _ in division.splits]
    shares = _Shares([fraction for _, fraction in division.splits])
    for rows in _strata(labels, division.stratify):
        mixed = random.permutation(rows) if mix else rows
        cuts = pairwise(accumulate(shares.of(len(rows)), initial=0))
        for part, (start, end) in zip(parts, cuts, strict=True):
            part.append(mixed[start:end])
    shards: list[Shard] = []
    for (name, _), part in zip(division.splits, parts, strict=True):
        joined = np.concatenate(part) if part else np.empty(0, np.int64)
        ordered = random.permutation(joined) if mix else np.sort(joined)
        shards += _shards(name, ordered, division.shards, len(labels))
    return shards


def _strata(labels: Sequence[tuple[float, ...]], stratify: bool) -> list[Rows]:
    """Row numbers by first label, lowest label first; all in one where they are not to be stratified."""
    import numpy as np

    if not stratify:
        return [np.arange(len(labels), dtype=np.int64)]
    first = np.fromiter((label[0] for label in labels), np.float64, len(labels))
    order = np.argsort(first, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(first[order])) + 1)


class _Shares:
    """Counts of images by fractions, in whole images: rounded down, or up where rounding owes the most from before."""

    def __init__(self, fractions: list[Fraction]) -> None:
        self._whole = lcm(*(fraction.denominator for fraction in fractions))
        self._parts = [int(fraction * self._whole) for fraction in fractions]
        self._parts.append(self._whole - sum(self._parts))  # of what the fractions leave out
        self._owed = [0] * len(self._parts)  # in parts of an image

    def of(self, count: int) -> list[int]:
        """Each fraction's share of the next ``count`` images."""
        exact = [count * part for part in self._parts]
        counts = [share // self._whole for share in exact]
        rests = [share % self._whole for share in exact]
        self._owed = [owed + rest for owed, rest in zip(self._owed, rests, strict=True)]
        not_exact = [number for number, rest in enumerate(rests) if rest]
        for number in sorted(not_exact, key=lambda number: -self._owed[number])[: count - sum(counts)]:
            counts[number] += 1
            self._owed[number] -= self._whole
        return counts[:-1]


def _shards(name: str, rows: Rows, shards: int, total: int) -> list[Shard]:
    if len(rows) < shards:
        what = "no image" if not len(rows) else f"{len(rows)} images, fewer than --shards {shards},"
        remedy = "a larger fraction or leave it out" if not len(rows) else "a larger fraction, or fewer shards"
        raise UsageError(f"split {name!r} would get {what} of the {total} listed: give it {remedy}")
    cuts = [len(rows) * number // shards for number in range(shards + 1)]
    return [
        Shard(
            name, name if shards == 1 else f"{name}-{number:05d}-of-{shards:05d}", array("q", rows[low:high].tolist())
        )
        for number, (low, high) in enumerate(pairwise(cuts))
    ]


def _plain(fraction: Fraction) -> str:
    return f"{float(fraction):g}"
