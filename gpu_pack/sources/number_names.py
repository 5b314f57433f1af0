"""Names for numbers that are labels: images of a class come together, whether a folder or a number says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice

from gpu_pack.errors import SourceError, UsageError, told
from gpu_pack.sources.found import Found
from gpu_pack.sources.open_source import OpenSource


class NumberNames:
    """What a file, or a source itself, calls its numbers.

    Args:
        source: of the names, for messages.
        names: by number.
        counted: the numbers are places in a list of names, from 0.
    """

    def __init__(self, source: str, names: Mapping[int, str], *, counted: bool = False) -> None:
        self.source, self._names, self._counted = source, names, counted
        self._used = False

    def name(self, found: Found, source: str) -> Found:
        """An image with the name of its number; one whose label is a name, or that has none, as it is.

        Raises:
            SourceError: a number without a name.
        """
        label = found.label
        if isinstance(label, str) or not label:
            return found
        if len(label) > 1:
            raise SourceError(
                f"{source}: {found.path} has {len(label)} label values, and {self.source} names single numbers"
            )
        self._used = True
        name = self._names.get(int(label[0])) if label[0].is_integer() else None
        if name is None:
            raise SourceError(
                f"{source}: label {label[0]:.9g} is none of the {len(self._names):,} numbers that {self._told()}"
            )
        return found._replace(label=name)

    def check_used(self) -> None:
        """Raise `UsageError` if there was no number to name."""
        if not self._used:
            raise UsageError(f"{told('class_names', self.source)}: no label of the sources is a number: leave it out")

    def _told(self) -> str:
        if not self._counted:
            return f"{self.source} names"
        return (
            f"{self.source} names, 0 to {len(self._names) - 1}, as it has a name a line: where labels begin at 1, it "
            "needs lines of NUMBER NAME"
        )


def name_numbers(opened: OpenSource, names: NumberNames) -> OpenSource:
    """A source with names in place of numbers."""
    opened.facts.numbered = None
    return opened._replace(images=_named(opened, names))


def _named(opened: OpenSource, names: NumberNames) -> Iterator[Found]:
    for found in opened.images:
        yield names.name(found, opened.facts.source)
    opened.facts.numbered = None


def name_where_they_differ(
    opened: Sequence[tuple[str | None, OpenSource]], known: tuple[str, ...] | None
) -> list[tuple[str | None, OpenSource]]:
    """Sources whose numbers have names of their own get these, unless all sources, and ``known``, have the same."""
    begun = [(split, _begun(each) if len(opened) > 1 else each) for split, each in opened]
    lists = {each.facts.numbered for _, each in begun} | ({known} if known is not None else set())
    return begun if len(lists) == 1 else [(split, _with_own_names(each)) for split, each in begun]


def _begun(opened: OpenSource) -> OpenSource:
    """The same with its first image read, after which it has told the names of its numbers."""
    first = list(islice(opened.images, 1))
    return opened._replace(images=chain(first, opened.images))


def _with_own_names(opened: OpenSource) -> OpenSource:
    own = opened.facts.numbered
    return opened if own is None else name_numbers(opened, NumberNames(opened.facts.source, dict(enumerate(own))))
