"""Sets of rows that a division must not part."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Rows = npt.NDArray[np.integer[Any]]


def keep_together(ordered: Rows, firsts: Rows) -> Rows:
    """The rows with those of each set beside each other, where the set's earliest was."""
    import numpy as np

    _, earliest, inverse = np.unique(firsts[ordered], return_index=True, return_inverse=True)
    return ordered[np.argsort(earliest[inverse], kind="stable")]


def between_sets(ordered: Rows, firsts: Rows, cuts: Iterable[int]) -> list[int]:
    """The cuts of rows that `keep_together` ordered, each moved to the nearest place that divides no set."""
    import numpy as np

    borders = np.flatnonzero(np.diff(firsts[ordered], prepend=-1, append=-1))
    return [int(borders[np.argmin(np.abs(borders - cut))]) for cut in cuts]
