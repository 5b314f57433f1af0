"""``{000..123}`` and ``{a,b}`` in names of files, as shells and WebDataset expand them."""

from __future__ import annotations

import re

from gpu_pack.errors import UsageError

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
#: More is a slip of the finger.
_MOST = 1_000_000


def expand_braces(text: str) -> list[str]:
    """All names that a pattern stands for, in order; braces with neither a range nor a comma stay.

    Raises:
        UsageError: over a million names.
    """
    for match in _BRACES.finditer(text):
        choices = _choices(match[1])
        if choices is None:
            continue
        rest = expand_braces(text[match.end() :])
        if len(choices) * len(rest) > _MOST:
            raise UsageError(f"{text}: it stands for over {_MOST:,} names")
        return [text[: match.start()] + choice + end for choice in choices for end in rest]
    return [text]


def _choices(inside: str) -> list[str] | None:
    """``000..002`` as 000, 001, 002, as wide as the first number; ``a,b`` as a and b."""
    if found := _RANGE.fullmatch(inside):
        first, last = int(found[1]), int(found[2])
        if abs(last - first) >= _MOST:
            raise UsageError(f"{{{inside}}}: it stands for over {_MOST:,} names")
        numbers = range(first, last + 1) if first <= last else range(first, last - 1, -1)
        return [str(number).zfill(len(found[1])) for number in numbers]
    return inside.split(",") if "," in inside else None
