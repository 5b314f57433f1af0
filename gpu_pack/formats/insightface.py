"""The layout of InsightFace's training sets (faces_emore): what their loaders take for granted.

Pictures have the keys 1 to N, each identity's one after the other; their label is the number of the identity. Records
without a picture follow: with the keys N + 1 to M - 1, one for each identity, labels its range, from the key of its
first picture to before the second label; and with the key 0, labels N + 1 and M. ``property`` tells the number of
identities, and the pictures' height and width. Source: insightface's face2rec2.py, image_iter.py and dataset.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

PROPERTY = "property"
#: Labels are float32, and so are the keys in them.
MAX_KEY = 1 << 24


class Metadata(NamedTuple):
    """A record without a picture."""

    key: int
    labels: tuple[float, float]


def metadata_records(counts: Sequence[int]) -> Iterator[Metadata]:
    """The records that follow the pictures.

    Args:
        counts: how many pictures each identity has; those without any have an empty range.
    """
    end = sum(counts) + 1
    first = 1
    for number, count in enumerate(counts):
        yield Metadata(end + number, (first, first + count))
        first += count
    yield Metadata(0, (end, end + len(counts)))


def property_text(identities: int, height: int, width: int) -> bytes:
    """The text of ``property``; height and width in pixels."""
    return f"{identities},{height},{width}\n".encode()
