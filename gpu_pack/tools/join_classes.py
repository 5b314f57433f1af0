"""Labels of several datasets as those of one: classes are the same where their names are.

The first dataset's labels stay; names that only a later one has get the next numbers, in that one's order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gpu_pack.errors import FormatError, SourceError
from gpu_pack.formats.boxes import Labels, is_detection, with_classes
from gpu_pack.formats.classes import NAME as CLASSES
from gpu_pack.tools.input_records import Input


@dataclass(frozen=True)
class Relabel:
    """What becomes of an input's labels.

    Attributes:
        make: the labels of a record in the output, from those in the input.
        keeps: right labels stay as they are.
    """

    make: Callable[[Labels], Labels]
    keeps: bool


def join_classes(inputs: Sequence[Input]) -> tuple[tuple[str, ...] | None, list[Relabel]]:
    """All names by label, None if there are none, and what becomes of the labels of each input.

    Raises:
        SourceError: one input has names and another one only numbers.
    """
    named = [each for each in inputs if each.classes is not None]
    if not named:
        return None, [Relabel(_keep, True)] * len(inputs)
    if len(named) < len(inputs):
        other = next(each for each in inputs if each.classes is None)
        raise SourceError(
            f"{other.rec} has numbers for labels, and {named[0].rec} names (its {CLASSES}): put a {CLASSES} with the "
            "names of the numbers beside the first one"
        )
    numbers: dict[str, int] = {}
    for each in named:
        for name in each.classes or ():
            numbers.setdefault(name, len(numbers))
    return tuple(numbers), [_by_name([numbers[name] for name in each.classes or ()]) for each in named]


def _keep(labels: Labels) -> Labels:
    return labels


def _by_name(numbers: Sequence[int]) -> Relabel:
    """Labels that are numbers of classes become those in ``numbers``."""
    new = [float(number) for number in numbers]

    def number(label: float) -> float:
        if not (label.is_integer() and 0 <= label < len(new)):
            raise FormatError(f"its label {label:g} is none of the {len(new)} classes in {CLASSES}")
        return new[int(label)]

    def relabel(labels: Labels) -> Labels:
        if is_detection(labels):
            return with_classes(labels, number)
        return tuple(map(number, labels))

    return Relabel(relabel, [*numbers] == [*range(len(numbers))])
