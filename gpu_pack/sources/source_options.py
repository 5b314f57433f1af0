"""How a source is read: which layout a folder has, how a list is written, and where labels come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from gpu_pack.errors import UsageError, told

#: ``auto`` recognises splits by the folders' names; ``splits`` takes any names; ``classes`` has no splits.
Layout = Literal["auto", "classes", "splits"]
#: Labels by the sorted names of the classes, or with whole numbers in them by their values.
ClassOrder = Literal["name", "natural"]
#: ``key, label..., path`` with tabs or blanks, or with commas, or InsightFace's ``aligned, path, label``.
ListFormat = Literal["auto", "mxnet", "csv", "aligned"]

_CHOICES = {"layout": get_args(Layout), "class_order": get_args(ClassOrder), "list_format": get_args(ListFormat)}


@dataclass(frozen=True)
class SourceOptions:
    """What `list_source` may be told about a source.

    Attributes:
        root: of a list's paths; None for the list's own folder.
        classes: names by label; without them, a folder's classes are numbered by ``class_order``.
        allow_outside: let a list name files outside of ``root``.
        layout, class_order: of a folder.
        list_format: of a list.
    """

    root: Path | None = None
    classes: tuple[str, ...] | None = None
    allow_outside: bool = False
    layout: Layout = "auto"
    class_order: ClassOrder = "name"
    list_format: ListFormat = "auto"

    def about_lists(self) -> str:
        """The first option given that is about lists only; empty without any."""
        return self._given("root", "allow_outside", "list_format")

    def about_folders(self) -> str:
        """The first option given that is about folders only; empty without any."""
        return self._given("layout", "class_order")

    def _given(self, *names: str) -> str:
        defaults = SourceOptions()
        for name in names:
            if (value := getattr(self, name)) != getattr(defaults, name):
                return told(name, value)
        return ""


def check_choices(options: object) -> None:
    """Check ``layout``, ``class_order`` and ``list_format`` of options.

    Raises:
        UsageError: one has another value than its type allows.
    """
    for name, allowed in _CHOICES.items():
        value = getattr(options, name)
        if value not in allowed:
            raise UsageError(f"{name}={value!r} (--{name.replace('_', '-')}): choose {' or '.join(allowed)}")
