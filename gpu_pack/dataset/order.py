"""The order in which a stream gives its records: numbers alone, so that it can be gone through without reading."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple

#: Records in a row that are read at once: 1.6 MB of crops to 224 pixels.
BLOCK = 64


class Share(NamedTuple):
    """Which part of an epoch is meant: that of one worker of one rank."""

    rank: int = 0
    world: int = 1
    worker: int = 0
    workers: int = 1

    def of(self, count: int) -> range:
        """The places in the epoch's order that are this part's: all parts together have each once.

        Ranks differ by one at most, and so do the workers of a rank.
        """
        mine = _part(range(count), self.rank, self.world)
        return _part(mine, self.worker, self.workers)


def _part(whole: range, number: int, parts: int) -> range:
    return whole[len(whole) * number // parts : len(whole) * (number + 1) // parts]


def blocks(counts: Sequence[int], random: Random | None) -> list[range]:
    """The positions of all records in blocks that lie in one file each, shuffled by ``random``.

    Args:
        counts: records of each file.
    """
    found, start = [], 0
    for count in counts:
        found += [range(first, min(first + BLOCK, start + count)) for first in range(start, start + count, BLOCK)]
        start += count
    if random is not None:
        random.shuffle(found)
    return found


def cut(whole: Sequence[range], share: range) -> Iterator[range]:
    """The blocks, or their parts, that lie at the places ``share`` of all blocks' positions in a row."""
    start = 0
    for block in whole:
        piece = block[max(share.start - start, 0) : max(share.stop - start, 0)]
        if piece:
            yield piece
        start += len(block)


def shuffled(count: int, buffer: int, random: Random) -> Iterator[int]:
    """0 to ``count`` - 1, each once, by a buffer of ``buffer`` numbers, of which a random one is given each time.

    The numbers enter in order: when the n-th one is given (from 0), those below n + ``buffer`` have entered.
    """
    held = list(range(min(buffer, count)))
    for entering in range(len(held), count):
        place = int(random.random() * len(held))
        leaving, held[place] = held[place], entering
        yield leaving
    random.shuffle(held)
    yield from held
