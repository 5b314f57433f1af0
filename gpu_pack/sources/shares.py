"""Shares of counts: every label's images by the same fractions, so that the totals are right too."""

from __future__ import annotations

from fractions import Fraction
from math import lcm


class Shares:
    """Divides counts of images by fractions: rounded down, or up where earlier rounding took the most."""

    def __init__(self, fractions: list[Fraction]) -> None:
        self._whole = lcm(*(fraction.denominator for fraction in fractions))
        self._parts = [int(fraction * self._whole) for fraction in fractions]
        self._parts.append(self._whole - sum(self._parts))  # what the fractions leave out
        self._owed = [0] * len(self._parts)  # lost by rounding so far, in parts of an image

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
