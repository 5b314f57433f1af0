"""``--duplicates``: files with the same bytes, found before the listing is divided."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from gpu_pack.sources.listing import Listing, entries
from gpu_pack.types import Image, OnProgress, Progress, Rejected, available_cores

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Rows = npt.NDArray[np.int64]

#: Files that a thread reads and hashes in one go.
_BATCH = 32
#: Bytes kept of each SHA-256: nobody can make two files that agree in them, so no picture is taken for another.
_DIGEST = 16


def first_of_same(listing: Listing, workers: int | None, on_progress: OnProgress) -> Rows:
    """For each row the first row whose file has the same bytes; the row itself where there is none.

    Only files that share their size with another are read. Those that cannot be read are like no other.

    Args:
        workers: threads; None for one a core.
    """
    import numpy as np

    sizes = listing.sizes.numpy().copy()
    digests = np.zeros(len(listing), f"S{_DIGEST}")
    known = np.zeros(len(listing), bool)
    with ThreadPoolExecutor(workers or available_cores()) as pool:

        def read(rows: Rows) -> None:
            state = Progress(0, len(rows), "files")
            batches = (array("q", rows[start : start + _BATCH].tolist()) for start in range(0, len(rows), _BATCH))
            for batch in pool.map(lambda batch: _hash(listing, batch), batches):
                for row, size, digest in batch:
                    sizes[row], digests[row], known[row] = size, digest, True
                state.done = min(state.done + _BATCH, len(rows))
                on_progress(state)

        read(np.flatnonzero(sizes < 0))  # a list may not tell sizes
        _, numbers, counts = np.unique(sizes, return_inverse=True, return_counts=True)
        read(np.flatnonzero((counts[numbers] > 1) & ~known & (sizes >= 0)))
    firsts = np.arange(len(listing), dtype=np.int64)
    rows = np.flatnonzero(known)
    _, earliest, inverse = np.unique(digests[rows], return_index=True, return_inverse=True)
    firsts[rows] = rows[earliest[inverse]]
    return firsts


def _hash(listing: Listing, rows: array[int]) -> list[tuple[int, int, bytes]]:
    """Row, size and digest of each file that can be read."""
    images = zip(rows, listing.store.read_many(entries(listing, rows)), strict=True)
    return [
        (row, len(image.data), hashlib.sha256(image.data).digest()[:_DIGEST])
        for row, image in images
        if isinstance(image, Image)
    ]


def drop_duplicates(listing: Listing, firsts: Rows) -> Listing:
    """The listing with the first of each set of files; the others are rejects."""
    import numpy as np

    kept = array("q", np.flatnonzero(firsts == np.arange(len(firsts))).tolist())
    dropped = np.flatnonzero(firsts != np.arange(len(firsts))).tolist()
    own = listing.own_splits
    fewer = replace(
        listing,
        **listing.take(kept),
        rejects=[*listing.rejects, *_rejects(listing, dropped, firsts)],
    )
    if own is not None:
        fewer.own_splits = own._replace(rows=own.rows.take(kept))
    return fewer


def _rejects(listing: Listing, dropped: Iterable[int], firsts: Rows) -> Iterator[Rejected]:
    for row in dropped:
        first = listing.paths[firsts[row]]
        yield Rejected(listing.entry(row), "read", f"it has the same bytes as {first}", "duplicate")
