"""From the images that sources yield to a listing: classes get their numbers, and every image its label values."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

from gpu_pack.errors import SourceError
from gpu_pack.formats import lst
from gpu_pack.formats.notices import Notice
from gpu_pack.sources.class_names import check_class_names, numeric_notice, order_classes
from gpu_pack.sources.folder import describe_skipped
from gpu_pack.sources.found import Facts, Found, Label
from gpu_pack.sources.listing import Listing
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
    listing = rows.listing
    listing.skipped, listing.notices = facts.skipped, facts.notices
    listing.ordered, listing.records = facts.ordered, facts.records
    if not listing.listed:
        raise SourceError(f"{facts.source}: no images found: {describe_skipped(facts.skipped)}")
    rows.set_labels(_number_classes(rows, facts, known, class_order))
    if facts.splits or rows.splits:
        listing.own_splits = _own_splits(rows, facts)
        listing.notices += _untrained(listing)
    return listing


class _Rows:
    """A listing that grows, with labels and splits as numbers in the order in which they were met."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.labels: dict[Label, int] = {}
        self.splits: dict[str | None, int] = {}
        self._row_labels, self._row_splits = array("I"), array("H")

    def add(self, found: Found) -> None:
        key = self.listing.listed if found.key is None else found.key
        label = self.labels.setdefault(found.label, len(self.labels))
        if found.refused or (unlistable := lst.unlistable_reason(found.path)):
            reason, code = found.refused or (f"its name cannot stand in a .lst file: {unlistable}: rename it", "name")
            # Its labels come once the classes have their numbers.
            entry = Entry(key, (float(label),), found.path.encode("utf-8", "backslashreplace").decode())
            self.listing.unlistable.append(Rejected(entry, "read", reason, code))
            return
        self._row_labels.append(label)
        if found.split is not None or self.splits:
            if before := len(self.listing) - len(self._row_splits):  # those of no split
                self._row_splits.extend([self.splits.setdefault(None, 0)] * before)
            self._row_splits.append(self.splits.setdefault(found.split, len(self.splits)))
        self.listing.add(key, (), found.path, found.stat, found.place)

    def set_labels(self, values: dict[Label, Values]) -> None:
        """Give every row its label values: one tuple for all that share them."""
        by_number = [values.get(label, ()) for label in self.labels]
        self.listing.labels = [by_number[number] for number in self._row_labels]
        self.listing.unlistable = [
            each._replace(entry=each.entry._replace(labels=by_number[int(each.entry.labels[0])]))
            for each in self.listing.unlistable
        ]

    def split_rows(self, names: list[str]) -> array[int]:
        """The split of each row, as a number among ``names``."""
        numbers = [names.index(name) if name is not None else -1 for name in self.splits]
        return array("H", (numbers[split] for split in self._row_splits))


def _number_classes(rows: _Rows, facts: Facts, known: tuple[str, ...] | None, order: ClassOrder) -> dict[Label, Values]:
    """The values of each label that was met; sets the listing's classes."""
    listing = rows.listing
    words = {label for label in rows.labels if isinstance(label, str)} | set(facts.class_names or ())
    numbers = [label for label in rows.labels if not isinstance(label, str) and label]
    if words and numbers:
        label = ", ".join(f"{value:.9g}" for value in numbers[0])
        raise SourceError(
            f"{facts.source}: some labels are names of classes, such as {min(words)!r}, and others numbers, such as "
            f"{label}: --class-names FILE gives numbers their names"
        )
    if not words:
        listing.classes = known if known is not None else facts.numbered
        _check_numbers(numbers, facts, listing.classes, " (--classes)" if known is not None else "")
        return {label: label for label in numbers}
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
    return {label: (labels[label],) for label in rows.labels if isinstance(label, str)}


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
    filled = set(column)
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
    trained = {labels for labels, split in zip(listing.labels, own.rows, strict=True) if split == train}
    others = sorted(set(listing.labels) - trained)
    if others:
        yield Notice("class-untrained", len(others), classes[int(others[0][0])])
