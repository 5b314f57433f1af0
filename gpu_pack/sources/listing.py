"""What there is to pack, in columns: a row an image."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gpu_pack.formats.notices import Notice
from gpu_pack.sources.places import Places
from gpu_pack.sources.splits import OwnSplits
from gpu_pack.stores.store import Stat, Store
from gpu_pack.types import Entry, Place, Rejected


@dataclass
class Listing:
    """Columns of equal length, one row an image; a million rows take some 200 MB.

    Attributes:
        store: where the images lie.
        keys: record ids; the position in the listing, or the .lst file's own numbers.
        labels: label values of each row.
        paths: in the store, with ``/`` between folders on every system.
        sizes, versions: when listed, as in `Stat`; those of an image in an archive are its own size, and the version
            of the archive.
        places: where images lie inside of other files.
        classes: names by label; None where there are none.
        unlistable: rejects known before packing: names that no .lst can carry, members that are not to be read, images
            without a label. They have keys but no row.
        skipped: how many files were no images, by suffix.
        notices: notes and warnings about the source.
        ordered: someone chose the order, as in a .lst.
        records: how many images are out of records, for which they were encoded before.
        own_splits: the splits of a source that is divided already, with a row's split; None for any other.
    """

    store: Store
    keys: array[int] = field(default_factory=lambda: array("Q"))
    labels: list[tuple[float, ...]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    sizes: array[int] = field(default_factory=lambda: array("q"))
    versions: array[int] = field(default_factory=lambda: array("q"))
    places: Places = field(default_factory=Places)
    classes: tuple[str, ...] | None = None
    unlistable: list[Rejected] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    notices: list[Notice] = field(default_factory=list)
    own_splits: OwnSplits | None = None
    ordered: bool = False
    records: int = 0

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.paths)

    @property
    def listed(self) -> int:
        """How many images there are, with those that are rejected already."""
        return len(self.paths) + len(self.unlistable)

    def entry(self, row: int) -> Entry:
        """One row as a value."""
        size = self.sizes[row]
        return Entry(self.keys[row], self.labels[row], self.paths[row], size if size >= 0 else None, self.places[row])

    def part(self, rows: Iterable[int]) -> Listing:
        """A listing of some rows alone, in the given order, without what is said of the whole."""
        part = Listing(self.store, classes=self.classes, ordered=self.ordered)
        for row in rows:
            stat = Stat(self.sizes[row], self.versions[row])
            part.add(self.keys[row], self.labels[row], self.paths[row], stat, self.places[row])
        return part

    def add(self, key: int, labels: tuple[float, ...], path: str, stat: Stat, place: Place | None = None) -> None:
        """Append a row."""
        if place is not None:
            self.places.put(len(self.paths), place)
        self.keys.append(key)
        self.labels.append(labels)
        self.paths.append(path)
        self.sizes.append(stat.size)
        self.versions.append(stat.version)


def entries(listing: Listing, rows: array[int], start: int = 0) -> Iterator[Entry]:
    """The entries of ``rows[start:]``, made one at a time."""
    for position in range(start, len(rows)):
        yield listing.entry(rows[position])
