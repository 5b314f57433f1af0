"""Detection labels: ``A, B, A-2 more, objects of B numbers``, each object ``class, xmin, ymin, xmax, ymax, ...``.

This is what MXNet's ImageDetIter and GluonCV read: coordinates are fractions of the upright picture's width and height.
GluonCV's header states the picture's size: ``4, 5, width, height``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gpu_pack.geometry import CropResize

Labels = tuple[float, ...]

#: The least header and object width, of which a class and four coordinates make five.
_LEAST_HEADER, _LEAST_OBJECT = 2, 5
_COORDINATES = slice(1, 5)
#: Places of width and height in a header that states them.
_SIZE = slice(2, 4)


class MovedBoxes(NamedTuple):
    """Labels for a part of a picture.

    Attributes:
        labels: with the objects that are left, which may be none.
        objects, dropped: how many are left, and how many have their centres outside of the part.
    """

    labels: Labels
    objects: int
    dropped: int


def is_detection(labels: Labels) -> bool:
    """Whether labels have the form of a detection header with one object or more."""
    if len(labels) < _LEAST_HEADER + _LEAST_OBJECT:
        return False
    header, width = labels[:2]
    if not (header.is_integer() and width.is_integer() and header >= _LEAST_HEADER and width >= _LEAST_OBJECT):
        return False
    objects = _objects(labels)
    if not objects or len(labels) != header + width * len(objects):
        return False
    return all(0 <= value <= 1 for each in objects for value in each[_COORDINATES])


def move_boxes(labels: Labels, source: tuple[int, int], part: CropResize) -> MovedBoxes:
    """Detection labels of a picture as those of the part that is cut out: moved, and clipped to it.

    Args:
        source: width and height of the upright picture in pixels.
        part: the crop box, and the size of the result.
    """
    header = _with_size(labels[: int(labels[0])], source, (part.width, part.height))
    objects = _objects(labels)
    if (part.box_width, part.box_height) == source:
        return MovedBoxes((*header, *labels[len(header) :]), len(objects), 0)
    columns = (source[0], part.x, part.box_width)
    rows = (source[1], part.y, part.box_height)
    left = [moved for each in objects if (moved := _moved(each, columns, rows)) is not None]
    return MovedBoxes((*header, *(value for each in left for value in each)), len(left), len(objects) - len(left))


def object_classes(labels: Labels) -> Labels:
    """The class of each object of a detection list."""
    return tuple(each[0] for each in _objects(labels))


def with_classes(labels: Labels, number: Callable[[float], float]) -> Labels:
    """A detection list with ``number(class)`` for the class of each object."""
    header = labels[: int(labels[0])]
    return (*header, *(value for each in _objects(labels) for value in (number(each[0]), *each[1:])))


def held_labels(listed: Labels, held: Labels) -> Labels:
    """The labels of a record as numbers of the fewest digits; those of the list, where the record holds just these."""
    if _float32(*listed) == held:
        return listed
    return tuple(map(_fewest_digits, held))


def _objects(labels: Labels) -> list[Labels]:
    """The objects; the last may be too short where the count of labels does not fit."""
    width = int(labels[1])
    return [labels[start : start + width] for start in range(int(labels[0]), len(labels), width)]


def _with_size(header: Labels, source: tuple[int, int], result: tuple[int, int]) -> Labels:
    """The header with the result's size, if it states the picture's: upright, or as it is stored."""
    if header[_SIZE] in (source, source[::-1]):
        return (*header[: _SIZE.start], *map(float, result), *header[_SIZE.stop :])
    return header


def _moved(each: Labels, columns: tuple[int, int, int], rows: tuple[int, int, int]) -> Labels | None:
    """One object, clipped; None if its centre is outside. An axis is (pixels, the part's start, the part's pixels)."""
    xs, ys = _along(each[1:4:2], *columns), _along(each[2:5:2], *rows)
    if not all(0 <= (low + high) / 2 <= 1 for low, high in (xs, ys)):
        return None
    left, top, right, bottom = (min(max(value, 0.0), 1.0) for value in (xs[0], ys[0], xs[1], ys[1]))
    return (each[0], left, top, right, bottom, *each[_COORDINATES.stop :])


def _along(values: Sequence[float], pixels: int, start: int, part: int) -> tuple[float, float]:
    if part == pixels:
        return values[0], values[1]
    return (values[0] * pixels - start) / part, (values[1] * pixels - start) / part


def _float32(*values: float) -> Labels:
    form = f"<{len(values)}f"
    return struct.unpack(form, struct.pack(form, *values))


def _fewest_digits(value: float) -> float:
    """The number of the fewest digits that float32 rounds to ``value``; nine are always enough."""
    return next(short for digits in range(6, 10) if _float32(short := float(f"{value:.{digits}g}")) == (value,))
