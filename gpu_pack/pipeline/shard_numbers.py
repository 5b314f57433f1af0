"""Numbers of shards as people write them: ``3,7-9``, or ``2/16`` for the third sixteenth of all."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gpu_pack.errors import UsageError, told

_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")
_SHARE = re.compile(r"(\d{1,9})/(\d{1,9})")


def parse_shards(text: str, count: int) -> list[int]:
    """The numbers, from 0 and in order; a share may be empty where there are fewer shards than shares.

    Args:
        count: how many shards there are.

    Raises:
        UsageError: it is none of the two forms, or names shards that are not there.
    """
    if share := _SHARE.fullmatch(text.strip()):
        number, of = int(share[1]), int(share[2])
        if number >= of:
            raise UsageError(f"{told('shards', text)}: shares are numbered from 0, so the last one is {of - 1}/{of}")
        return [*range(count * number // of, count * (number + 1) // of)]
    numbers: set[int] = set()
    for part in text.split(","):
        found = _RANGE.fullmatch(part.strip())
        if not found:
            raise UsageError(
                f"{told('shards', text)}: write numbers and ranges, as in 3,7-9, or a share, as in 2/16, the third "
                "sixteenth"
            )
        first, last = int(found[1]), int(found[2] or found[1])
        if first > last or last >= count:
            raise UsageError(f"{told('shards', text)}: the plan has shards 0 to {count - 1}")
        numbers.update(range(first, last + 1))
    return sorted(numbers)


def format_shards(numbers: Iterable[int]) -> str:
    """Ascending numbers as `parse_shards` reads them: ``3,7-9``."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
