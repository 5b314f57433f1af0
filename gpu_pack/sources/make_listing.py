"""From the images that sources yield to a listing: classes get their numbers, and every image its label values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from gpu_pack.errors import SourceError
from gpu_pack.formats import lst
from gpu_pack.formats.notices import Notice
from gpu_pack.sources.class_names import check_class_names, numeric_notice, order_classes
from gpu_pack.sources.columns import Column, raw
from gpu_pack.sources.folder import describe_skipped
from gpu_pack.sources.found import Facts, Found
from gpu_pack.sources.listing import Listing, RowBuffer
from gpu_pack.sources.source_options import ClassOrder
from gpu_pack.sources.splits import OwnSplits
from gpu_pack.stores.store import Store
from gpu_pack.types import Entry, Rejected

Values = tuple[float, ...]


def make_listing(
    images: Iterable[Found],
    facts: Facts,
    store: Store,
    known: tuple[str, ...] | None = None,
    class_order: ClassOrder = "name",
) -> Listing:
    """A listing of images, in their order.

    Classes are numbered by the sorted names of all of them. Images without a key of their own get their place in the
    order, from 0.

    Args:
        images: read to the end.
        facts: what their source tells besides.
        store: where they lie.
        known: names by label, which classes must have.
        class_order: of names that are not known.

    Raises:
        SourceError: no images, an unknown class, names that clash, or words and numbers mixed as labels.
    """
    rows = _Rows(Listing(store))
    for found in images:
        rows.add(found)
    rows.settle()
    listing = rows.listing
    listing.skipped, listing.notices = facts.skipped, facts.notices
    listing.ordered, listing.records = facts.ordered, facts.records
    if not listing.listed:
        raise SourceError(f"{facts.source}: no images found: {describe_skipped(facts.skipped)}")
    if not listing.paths:
        first = listing.rejects[0]
        raise SourceError(
            f"{facts.source}: none of its {listing.listed:,} images can be packed; the first: {first.entry.path}: "
            f"{first.reason}"
        )
    _number_classes(rows, facts, known, class_order)
    if facts.splits or rows.splits:
        listing.own_splits = _own_splits(rows, facts)
        listing.notices += _untrained(listing)
    return listing


class _Rows:
    """A listing that grows, with classes and splits as numbers in the order in which they were met.

    Attributes:
        words: the names of classes, with their numbers.
        number: the first label that is no name.
        splits: names with their numbers.
    """

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.words: dict[str, int] = {}
        self.number: Values = ()
        self.splits: dict[str | None, int] = {}
        self._row_splits = Column("H")
        self._met = 0
        self._buffer = RowBuffer(listing)
        self.settle = self._buffer.settle

    def add(self, found: Found) -> None:
        key = self._met if found.key is None else found.key
        self._met += 1
        label, number = found.label, None
        if isinstance(label, str):
            number = self.words.setdefault(label, len(self.words))
            labels: Values = (float(number),)  # until the classes have their numbers
        else:
            labels = label
            self.number = self.number or label
        if found.refused or (unlistable := lst.unlistable_reason(found.path)):
            reason, code = found.refused or (f"its name cannot stand in a .lst file: {unlistable}: rename it", "name")
            entry = Entry(key, labels, found.path.encode("utf-8", "backslashreplace").decode())
            self.listing.rejects.append(Rejected(entry, "read", reason, code))
            return
        row = self._buffer.rows
        if found.split is not None or self.splits:
            for _ in range(row - len(self._row_splits)):  # those of no split
                self._row_splits.append(self.splits.setdefault(None, 0))
            self._row_splits.append(self.splits.setdefault(found.split, len(self.splits)))
        if found.place is not None:
            self.listing.places.put(row, found.place)
        if number is None:
            self.listing.labels.append(labels)
        self._buffer.add(key, found.path, found.stat, number)

    def set_classes(self, numbers: dict[str, Values]) -> None:
        """Give the classes their label values."""
        by_number = [numbers[word] for word in self.words]
        self.listing.labels.table = by_number
        self.listing.rejects = [
            each._replace(entry=each.entry._replace(labels=by_number[int(each.entry.labels[0])]))
            if each.entry.labels
            else each
            for each in self.listing.rejects
        ]

    def split_rows(self, names: list[str]) -> Column:
        """The split of each row, as a number among ``names``."""
        import numpy as np

        numbers = np.array([names.index(name) for name in self.splits if name is not None], np.uint16)
        return Column("H", raw(numbers[self._row_splits.numpy()]))


def _number_classes(rows: _Rows, facts: Facts, known: tuple[str, ...] | None, order: ClassOrder) -> None:
    """Give the listing its classes, and its rows their numbers."""
    listing = rows.listing
    words = rows.words.keys() | set(facts.class_names or ())
    if words and rows.number:
        label = ", ".join(f"{value:.9g}" for value in rows.number)
        raise SourceError(
            f"{facts.source}: some labels are names of classes, such as {min(words)!r}, and others numbers, such as "
            f"{label}: --class-names FILE gives numbers their names"
        )
    if not words:
        listing.classes = known if known is not None else facts.numbered
        numbers = chain(listing.labels.table or listing.labels, (each.entry.labels for each in listing.rejects))
        _check_numbers(numbers, facts, listing.classes, " (--classes)" if known is not None else "")
        return
    names = order_classes(words, order)
    check_class_names(facts.source, names)
    listing.classes = known if known is not None else tuple(names)
    if known is None:
        listing.notices += filter(None, [numeric_notice(names)])
    labels = {name: float(number) for number, name in enumerate(listing.classes)}
    for name in names:
        if name not in labels:
            raise SourceError(
                f"{facts.source}: class {name!r} is not among the {len(labels)} names of classes (--classes): add it "
                "at the end of that file, or leave its images out"
            )
    rows.set_classes({name: (labels[name],) for name in rows.words})


def _check_numbers(numbers: Iterable[Values], facts: Facts, classes: tuple[str, ...] | None, told: str) -> None:
    if classes is None:
        return
    for values in numbers:
        if not all(value.is_integer() and 0 <= value < len(classes) for value in values):
            label = ", ".join(f"{value:.9g}" for value in values)
            raise SourceError(
                f"{facts.source}: label {label} has no name: the {len(classes)} classes{told} are 0 to "
                f"{len(classes) - 1}"
            )


def _own_splits(rows: _Rows, facts: Facts) -> OwnSplits:
    names = list(dict.fromkeys([*facts.splits, *(name for name in rows.splits if name is not None)]))
    if None in rows.splits:
        raise SourceError(f"{facts.source}: some images are in a split, {names[0]!r}, and others in none: name theirs")
    column = rows.split_rows(names)
    filled = column.different()
    for number, name in enumerate(names):
        if number not in filled:
            raise SourceError(
                f"{facts.source}: split {name!r} has no image that can be listed: leave it out, or put images into it"
            )
    return OwnSplits(tuple(names), column, facts.splits_bind)


def _untrained(listing: Listing) -> Iterator[Notice]:
    """The warning that classes have no images to train on."""
    own, classes = listing.own_splits, listing.classes
    assert own is not None
    train = next((number for number, name in enumerate(own.names) if name.lower() == "train"), None)
    if train is None or classes is None:
        return
    import numpy as np

    trained = listing.labels.different(np.flatnonzero(own.rows.numpy() == train))
    others = sorted(listing.labels.different() - trained)
    if others:
        yield Notice("class-untrained", len(others), classes[int(others[0][0])])
