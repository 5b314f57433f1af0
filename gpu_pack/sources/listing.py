"""What there is to pack, in columns: a row an image."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from gpu_pack.types import Entry, Rejected


@dataclass
class Listing:
    """Columns of equal length, one row an image; a million rows fit into some 200 MB.

    Attributes:
        root: the folder that ``paths`` are relative to.
        keys: record ids; the position in the listing, or the .lst file's own numbers.
        labels: label values of each row.
        paths: with ``/`` between folders on every system.
        sizes, mtimes: bytes and nanoseconds as listed; -1 where the file could not be looked at.
        classes: names by label, or None where nobody named them.
        unlistable: rejects for files whose names no .lst can carry; they have keys but no row.
        skipped: how many files were no images, by suffix.
    """

    root: str
    keys: array[int] = field(default_factory=lambda: array("Q"))
    labels: list[tuple[float, ...]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    sizes: array[int] = field(default_factory=lambda: array("q"))
    mtimes: array[int] = field(default_factory=lambda: array("q"))
    classes: tuple[str, ...] | None = None
    unlistable: list[Rejected] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.paths)

    def entry(self, row: int) -> Entry:
        """Row number ``row`` as a value."""
        size = self.sizes[row]
        return Entry(self.keys[row], self.labels[row], self.paths[row], size if size >= 0 else None)

    def add(self, key: int, labels: tuple[float, ...], path: str, size: int, mtime: int) -> None:
        self.keys.append(key)
        self.labels.append(labels)
        self.paths.append(path)
        self.sizes.append(size)
        self.mtimes.append(mtime)


def entries(listing: Listing, rows: array[int], start: int = 0) -> Iterator[Entry]:
    """The entries of ``rows[start:]``, made one at a time."""
    for position in range(start, len(rows)):
        yield listing.entry(rows[position])
