"""Groups pictures whose perceptual hashes are alike, without comparing all with all.

The first 64 bits of a hash are cut into eleven pieces. Two that differ in at most eight bits share at least three whole
pieces, so that sorting by each three of the eleven (165 ways) brings every such pair beside each other; most pairs that
differ in a few bits more are met too. A pair that was met is judged by all 256 bits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import TYPE_CHECKING, Any

from gpu_pack.types import available_cores

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

#: Bits of 256 in which near-duplicates differ at most. 250 different photographs (those of `looks`) differ from each
#: other in 93 or more. Of their copies, those of quality 40 or half the size differ in at most 18, those without 1 % of
#: each edge in at most 47; those without 2 % in at most 47 for 95 of 100, and only fine regular textures such as brick
#: walls in more than 72. Of two hashes by chance, the odds are one in 10^12.
NEAR = 72
#: A pair that differs in more of the first 64 bits is not looked at any further.
_NEAR_FIRST = 16
#: Bits of each piece, from the lowest.
_PIECES = (6, 6, 6, 6, 6, 6, 6, 6, 6, 5, 5)
_SHARED = 3
#: Neighbours that a picture is compared with, among those that share three pieces: a million pictures have six of them
#: in the mean. Of more, the nearest in the order of the other bits count, so that a large group costs no square.
_WINDOW = 64


def near_groups(hashes: Array, on_step: Callable[[int, int], None], workers: int | None = None) -> Array:
    """A number for each hash, the same for those that are alike: the first row of its group, int64.

    Being alike carries on: with a like b, and b like c, all three are one group.

    Args:
        hashes: N x 4, uint64.
        on_step: called with the steps that are done, and all of them.
        workers: threads; None for one a core.
    """
    import numpy as np

    groups = _Groups(len(hashes))
    ways = list(combinations(range(len(_PIECES)), _SHARED))
    first = np.ascontiguousarray(hashes[:, 0])

    def compare(way: tuple[int, ...]) -> None:
        for one, other in _pairs(hashes, first, way, groups):
            groups.join(one, other)

    with ThreadPoolExecutor(workers or available_cores()) as pool:
        for done, _ in enumerate(pool.map(compare, ways), 1):
            on_step(done, len(ways))
    return groups.numbers


class _Groups:
    """Rows in groups, each named by its first row.

    Attributes:
        numbers: the group of each row.
    """

    def __init__(self, count: int) -> None:
        import numpy as np

        self.numbers = np.arange(count, dtype=np.int64)
        self._lock = threading.Lock()

    def join(self, one: Array, other: Array) -> None:
        """Make one group of each pair's two."""
        import numpy as np

        with self._lock:
            numbers = self.numbers
            while len(one):
                left, right = numbers[one], numbers[other]
                apart = left != right
                one, other = one[apart], other[apart]
                low, high = np.minimum(left, right)[apart], np.maximum(left, right)[apart]
                numbers[high] = low  # of several pairs with the same group, one wins; the others come again
                while not np.array_equal(shorter := numbers[numbers], numbers):
                    numbers[:] = shorter


def _pairs(hashes: Array, first: Array, way: tuple[int, ...], groups: _Groups) -> Iterator[tuple[Array, Array]]:
    """Rows that share the pieces of one way and are alike, in two columns; those in one group already are left out."""
    import numpy as np

    shared = np.uint64(sum(_PIECES[piece] for piece in way))
    keys = _key(first, way) << (np.uint64(64) - shared) | first >> shared
    order = np.argsort(keys)
    buckets = keys[order] >> (np.uint64(64) - shared)
    borders = np.flatnonzero(np.diff(buckets)) + 1
    lengths = np.diff(borders, prepend=0, append=len(order))
    ends = np.repeat(np.append(borders, len(order)), lengths)
    ordered = first[order]
    places = np.arange(len(order))
    for step in range(1, _WINDOW + 1):
        places = places[places + step < ends[places]]
        if not len(places):
            return
        met = places[_bits(ordered[places] ^ ordered[places + step]) <= _NEAR_FIRST]
        one, other = order[met], order[met + step]
        apart = groups.numbers[one] != groups.numbers[other]
        one, other = one[apart], other[apart]
        alike = _bits(hashes[one] ^ hashes[other]).sum(axis=1, dtype=np.int64) <= NEAR
        if alike.any():
            yield one[alike], other[alike]


def _key(first: Array, way: tuple[int, ...]) -> Array:
    """The pieces of a way, side by side."""
    import numpy as np

    key = np.zeros(len(first), np.uint64)
    for piece in way:
        width, start = _PIECES[piece], sum(_PIECES[:piece])
        key = key << np.uint64(width) | first >> np.uint64(start) & np.uint64((1 << width) - 1)
    return key


def _bits(words: Array) -> Array:
    """The number of bits that are set in each word of 64, uint8."""
    import numpy as np

    if not hasattr(np, "bitwise_count"):
        return bits_by_table(words)
    counts: Array = np.bitwise_count(words)
    return counts


def bits_by_table(words: Array) -> Array:
    """The same with NumPy before 2.0."""
    import numpy as np

    table = np.array([number.bit_count() for number in range(1 << 16)], np.uint8)
    counts: Array = table[np.ascontiguousarray(words).view(np.uint16)].reshape(*words.shape, 4)
    return np.asarray(counts.sum(axis=-1, dtype=np.uint8))
