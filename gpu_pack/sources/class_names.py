"""The names of class folders: which label each gets, and which cannot be."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import pairwise

from gpu_pack.errors import SourceError
from gpu_pack.formats import lst
from gpu_pack.formats.notices import Notice
from gpu_pack.sources.source_options import ClassOrder

_WHOLE = re.compile(r"[-+]?[0-9]+")
_DIGITS = re.compile(r"([0-9]+)")


def order_classes(names: Iterable[str], order: ClassOrder) -> list[str]:
    """The names in the order of their labels."""
    found = sorted(names)
    if order == "name":
        return found
    if all(map(_WHOLE.fullmatch, found)):
        return sorted(found, key=int)
    return sorted(found, key=natural_key)


def natural_key(name: str) -> list[str | int]:
    """What sorts 2 before 10: text and numbers in turn, beginning with text, so that only like is compared."""
    return [int(part) if place % 2 else part for place, part in enumerate(_DIGITS.split(name))]


def numeric_notice(names: Sequence[str]) -> Notice | None:
    """The warning that labels do not follow the whole numbers that the classes are called; None where they do."""
    numbers = [name for name in names if _WHOLE.fullmatch(name)]
    for before, after in pairwise(numbers):
        if int(before) > int(after):
            return Notice("numeric-classes", len(numbers), f"{before} before {after}")
    return None


def check_class_names(source: str, names: Iterable[str]) -> None:
    """Refuse names that classes.txt cannot hold, one a line, or that look the same.

    Raises:
        SourceError: there is one.
    """
    seen: dict[str, str] = {}
    for name in names:
        if reason := lst.unlistable_reason(name):
            raise SourceError(f"{source}: class {name!r} cannot be written into classes.txt: {reason}: rename it")
        other = seen.setdefault(unicodedata.normalize("NFC", name), name)
        if other != name:
            raise SourceError(
                f"{source}: classes {other!r} and {name!r} have the same name in two Unicode "
                "spellings: merge them, or rename one"
            )
