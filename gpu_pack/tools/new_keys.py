"""Keys for records that come together: kept where they stay unique."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from gpu_pack.recordio.framing import MAGIC

_KEYS = 1 << 64


def unique_keys(files: Sequence[array[int]]) -> list[array[int]]:
    """Each file's keys, but a record whose key an earlier one has gets a number after the largest key.

    Where numbers end before the records do, all are numbered from 0.
    """
    import numpy as np

    together = np.concatenate([np.empty(0, np.uint64), *(np.asarray(keys) for keys in files)])
    order = np.argsort(together, kind="stable")
    taken = np.zeros(len(together), np.bool_)
    taken[order[1:]] = together[order[1:]] == together[order[:-1]]
    rows = np.flatnonzero(taken)
    if len(rows):
        fresh = fresh_keys(int(together.max()) + 1, len(rows))
        if fresh is None:
            together = np.arange(len(together), dtype=np.uint64)
        else:
            together[rows] = np.asarray(fresh)
    ends = np.cumsum([len(keys) for keys in files])[:-1]
    return [array("Q", part.tobytes()) for part in np.split(together, ends)]


def fresh_keys(start: int, count: int) -> array[int] | None:
    """``count`` keys from ``start`` on that a record's header can hold; None where numbers end before."""
    import numpy as np

    spare = 2 + (count >> 32)  # one number in 2^32 has the magic number for its lower half
    if start + count + spare >= _KEYS or start >> 32 == MAGIC:
        return None
    numbers = np.arange(start, start + count + spare, dtype=np.uint64)
    usable = numbers[(numbers & np.uint64(0xFFFFFFFF)) != MAGIC]
    return array("Q", usable[:count].tobytes())
