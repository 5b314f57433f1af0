"""Memory for batches that is used again once nobody has a view of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

#: Blocks that are kept while none of them is in use: a loop holds one batch while the next one is decoded.
_KEPT = 2
#: Bytes of the largest block that is kept: 445 crops to 224 pixels.
_LARGEST = 64 << 20


class Blocks:
    """Lends arrays whose memory comes back when the last view of them is gone.

    The system clears fresh memory page by page, and a processor has it in no cache: for batches of crops that takes 3 %
    of the time that decoding takes. Threads may share it; a pickled copy begins without memory.
    """

    def __init__(self) -> None:
        self._free: list[Array] = []

    def take(self, shape: tuple[int, ...]) -> Array:
        """An uninitialised uint8 array, the caller's own for as long as there is a view of it."""
        size = math.prod(shape)
        if not 0 < size <= _LARGEST:
            return np.empty(shape, np.uint8)
        return np.asarray(_Loan(self._free, self._memory(size), shape))

    def _memory(self, size: int) -> Array:
        try:
            while (memory := self._free.pop()).nbytes != size:  # others were of another batch size
                pass
        except IndexError:
            return np.empty(size, np.uint8)
        return memory

    def __reduce__(self) -> tuple[type[Blocks], tuple[()]]:
        return Blocks, ()


class _Loan:
    """What the array of `Blocks.take` has for its base: it ends with the last view."""

    def __init__(self, free: list[Array], memory: Array, shape: tuple[int, ...]) -> None:
        self._free, self._memory = free, memory
        self.__array_interface__ = {**memory.__array_interface__, "shape": shape, "strides": None}

    def __del__(self) -> None:
        if len(self._free) < _KEPT:
            self._free.append(self._memory)
