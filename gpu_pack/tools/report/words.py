"""Text that others wrote, made fit to be shown; and numbers as people read them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gpu_pack.console import clean

#: Characters of a name that are shown.
LONGEST = 120


def shown(text: object, longest: int = LONGEST) -> str:
    """A name or sentence without control characters, lone surrogates and marks that turn the writing; shortened."""
    letters = str(text)
    short = letters if len(letters) <= longest else letters[: longest - 1] + "…"
    return clean(short)


class Bar(NamedTuple):
    """A row of a chart: its name, how many, and its share of the largest in percent."""

    name: str
    number: int
    share: float


def bars(items: Iterable[tuple[object, int]], most: int) -> list[Bar]:
    """The first ``most`` items as rows; what follows is added up in one."""
    rows = list(items)
    first, others = rows[:most], rows[most:]
    largest = max((count for _, count in rows), default=1) or 1
    made = [Bar(shown(name), count, round(100 * count / largest, 2)) for name, count in first]
    if others:
        count = sum(count for _, count in others)
        made.append(Bar(f"{len(others):,} others", count, round(min(100.0, 100 * count / largest), 2)))
    return made
