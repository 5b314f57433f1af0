"""How many images a workload takes, from what its contenders took for few."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

#: How much a run is assumed to vary.
_SLACK = 1.15


class Pace(NamedTuple):
    """Seconds that a contender takes to start, and for each image."""

    start: float
    each: float

    def seconds(self, count: int) -> float:
        return self.start + count * self.each


def pace(few: int, seconds: float, more: int, more_seconds: float) -> Pace:
    """From two runs; the second of as many images or more."""
    if more > few and more_seconds > seconds:
        each = (more_seconds - seconds) / (more - few)
        return Pace(max(0.0, seconds - few * each), each)
    return Pace(0.0, more_seconds / more)


def choose(paces: Sequence[Pace], seconds: float, rounds: int, least: int, most: int) -> tuple[int, int]:
    """``(count, rounds)``: the most images that all can do in turn in that time.

    Fewer rounds, at least one, where even ``least`` would not fit.
    """
    for turns in range(rounds, 0, -1):
        left = seconds / (turns * _SLACK) - sum(each.start for each in paces)
        count = int(left / max(1e-9, sum(each.each for each in paces)))
        if count >= least or turns == 1:
            count = max(least, min(most, count))
            return (count if count < 1000 else count // 100 * 100), turns
    raise ValueError("rounds: at least one")
