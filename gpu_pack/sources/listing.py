"""What there is to pack, in columns: a row an image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpu_pack.formats.notices import Notice
from gpu_pack.sources.columns import ROWS_AT_ONCE, Column
from gpu_pack.sources.key_column import Keys
from gpu_pack.sources.labels import Labels
from gpu_pack.sources.places import Places
from gpu_pack.sources.splits import OwnSplits
from gpu_pack.sources.text_column import Texts
from gpu_pack.stores.store import Stat, Store
from gpu_pack.types import Entry, Place, Rejected

if TYPE_CHECKING:
    from gpu_pack.sources.columns import Rows

#: Entries that are made at once.
_ENTRIES_AT_ONCE = 256
#: The fields of a listing that have a value for each row, but ``own_splits``.
COLUMNS = ("keys", "labels", "paths", "sizes", "versions", "places")


@dataclass
class Listing:
    """Columns of equal length, one row an image; a million rows take some 100 MB, and far more lie on the disk.

    Attributes:
        store: where the images lie.
        keys: record ids; the position in the listing, or the .lst file's own numbers.
        labels: label values of each row.
        paths: in the store, with ``/`` between folders on every system.
        sizes, versions: when listed, as in `Stat`; those of an image in an archive are its own size, and the version
            of the archive.
        places: where images lie inside of other files.
        classes: names by label; None where there are none.
        rejects: known before packing: names that no .lst can carry, members that are not to be read, images
            without a label. They have keys but no row.
        skipped: how many files were no images, by suffix.
        notices: notes and warnings about the source.
        ordered: someone chose the order, as in a .lst.
        records: how many images are out of records, for which they were encoded before.
        left_out: how many more images were listed, which a division gave to no split.
        own_splits: the splits of a source that is divided already, with a row's split; None for any other.
    """

    store: Store
    keys: Keys = field(default_factory=Keys)
    labels: Labels = field(default_factory=Labels)
    paths: Texts = field(default_factory=Texts)
    sizes: Column = field(default_factory=lambda: Column("q"))
    versions: Column = field(default_factory=lambda: Column("q"))
    places: Places = field(default_factory=Places)
    classes: tuple[str, ...] | None = None
    rejects: list[Rejected] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    notices: list[Notice] = field(default_factory=list)
    own_splits: OwnSplits | None = None
    ordered: bool = False
    records: int = 0
    left_out: int = 0

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.paths)

    @property
    def listed(self) -> int:
        """How many images there are, with those that are rejected already."""
        return len(self.paths) + len(self.rejects) + self.left_out

    @property
    def nbytes(self) -> int:
        """What its rows take, about: those with boxes or places take more."""
        return self.paths.nbytes + 36 * len(self)  # key, label, size, version, and where the path ends

    def entry(self, row: int) -> Entry:
        """One row as a value."""
        size = self.sizes.at(row)
        return Entry(
            self.keys.at(row), self.labels.at(row), self.paths.at(row), size if size >= 0 else None, self.places[row]
        )

    def part(self, rows: Rows) -> Listing:
        """A listing of some rows alone, in the given order, without what is said of the whole."""
        return Listing(self.store, **self.take(rows), classes=self.classes, ordered=self.ordered)

    def take(self, rows: Rows) -> dict[str, Any]:
        """The columns by name, of some rows alone, in the given order."""
        return {name: getattr(self, name).take(rows) for name in COLUMNS}

    def add(self, key: int, labels: tuple[float, ...], path: str, stat: Stat, place: Place | None = None) -> None:
        """Append a row."""
        if place is not None:
            self.places.put(len(self.paths), place)
        self.keys.append(key)
        self.labels.append(labels)
        self.paths.append(path)
        self.sizes.append(stat.size)
        self.versions.append(stat.version)

    def extend(self, part: Listing) -> None:
        """Append the rows of another listing."""
        part.places.copy_into(self.places, range(len(part)), len(self))
        self.keys.extend(part.keys)
        self.labels.extend(part.labels)
        self.paths.extend(part.paths)
        for mine, its in ((self.sizes, part.sizes), (self.versions, part.versions)):
            mine.extend(its.slice(0, len(its)))


class RowBuffer:
    """Adds rows to a listing, many at a time, which takes a third of the time. `settle` comes last.

    Args:
        listing: nothing else adds rows meanwhile; places go straight into it.

    Attributes:
        rows: how many there are.
    """

    def __init__(self, listing: Listing) -> None:
        self.rows = len(listing)
        self._listing = listing
        self._recent: list[tuple[int, str, Stat]] = []
        self._numbers: list[int] = []

    def add(self, key: int, path: str, stat: Stat, number: int | None) -> None:
        """Append a row.

        Args:
            number: of its label values; None where the caller adds these to the listing.
        """
        self.rows += 1
        self._recent.append((key, path, stat))
        if number is not None:
            self._numbers.append(number)
        if len(self._recent) >= ROWS_AT_ONCE:
            self.settle()

    def settle(self) -> None:
        """Add what is held back."""
        if not self._recent:
            return
        keys, paths, stats = zip(*self._recent, strict=True)
        sizes, versions = zip(*stats, strict=True)
        self._listing.keys.append_all(keys)
        self._listing.labels.append_numbers(self._numbers)
        self._listing.paths.append_all(paths)
        self._listing.sizes.append_all(sizes)
        self._listing.versions.append_all(versions)
        self._recent, self._numbers = [], []


def entries(listing: Listing, rows: Sequence[int], start: int = 0) -> Iterator[Entry]:
    """The entries of ``rows[start:]``, some made at a time."""
    for begin in range(start, len(rows), _ENTRIES_AT_ONCE):
        some = rows[begin : begin + _ENTRIES_AT_ONCE]
        sizes = [size if size >= 0 else None for size in listing.sizes.many(some)]
        columns = (listing.keys, listing.labels, listing.paths)
        yield from map(Entry, *(column.many(some) for column in columns), sizes, listing.places.many(some))
