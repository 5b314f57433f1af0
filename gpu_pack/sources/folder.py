"""The images of a folder: a class for each top-level folder, also below folders of splits, or label 0 without any.

One scandir a folder and one stat a file: a hundred thousand files take well under a second, and the run notices later
that a file changed. Links to folders are followed, as im2rec does, but never in a circle.
"""

from __future__ import annotations

import os
import stat
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from gpu_pack.errors import SourceError, told
from gpu_pack.formats import lst
from gpu_pack.formats.notices import Notice
from gpu_pack.sources.class_names import check_class_names, numeric_notice, order_classes
from gpu_pack.sources.layout import SplitFolder, SplitFolders, find_splits
from gpu_pack.sources.listing import Listing
from gpu_pack.sources.scan import (
    Items,
    describe_skipped,
    folder_identity,
    is_image,
    refuse_dead_links,
    scan,
    suffix,
)
from gpu_pack.sources.source_options import ClassOrder, Layout
from gpu_pack.sources.splits import OwnSplits
from gpu_pack.stores.local import LocalStore
from gpu_pack.stores.store import Stat
from gpu_pack.types import Entry, Rejected


def list_folder(
    source: Path, classes: tuple[str, ...] | None = None, layout: Layout = "auto", class_order: ClassOrder = "name"
) -> Listing:
    """Every image below ``source``: a class for each top-level folder, or label 0 where there are none.

    Args:
        source: the folder.
        classes: names by label; without it, classes are numbered in their order.
        layout: whether the top-level folders are splits, with class folders in them.
        class_order: of the classes' names.

    Raises:
        SourceError: no such folder, no images, an empty or unknown class, clashing names, images beside classes, or
            links that lead nowhere where folders decide the labels.
    """
    if not source.is_dir():
        raise SourceError(f"{source}: no such folder" if not source.exists() else f"{source}: not a folder")
    store = LocalStore(str(source))
    listing = Listing(store)
    skipped: Counter[str] = Counter()
    files, folders = scan(store, "", skipped)
    refuse_dead_links(files)
    if folders:
        listing.skipped += skipped
        names = [item.name for item in folders]
        divided = find_splits(store, names, layout)
        _refuse_loose_images(source, files)
        splits = divided.splits if divided is not None else [SplitFolder("", names)]
        rows = _list_classes(listing, store, splits, classes, class_order)
        if divided is not None:
            _divide(listing, source, divided, rows)
    elif layout == "splits":
        raise SourceError(f"{source}: {told('layout', layout)}: it holds no folders")
    else:
        _list_below(listing, store, "", _folder_label(source, classes))
        listing.classes = classes if classes is not None else (source.resolve().name,)
    if not listing.paths and not listing.unlistable:
        raise SourceError(f"{source}: no images found: {describe_skipped(listing.skipped)}")
    return listing


def _refuse_loose_images(source: Path, files: Items) -> None:
    for item in files:
        if is_image(item):
            raise SourceError(
                f"{source}: image {item.name!r} lies beside the class folders and so has no class: "
                "move it into one of them, or out of the source"
            )


def _folder_label(source: Path, classes: tuple[str, ...] | None) -> float:
    """The label of images directly in ``source``: with class names, that of the folder's own name."""
    if classes is None:
        return 0.0
    name = source.resolve().name
    if name not in classes:
        raise SourceError(
            f"{source}: its images are in no sub-folder, and its own name {name!r} is not among the {len(classes)} "
            "names of classes (--classes): put them into a folder of their class's name"
        )
    return float(classes.index(name))


def _list_classes(
    listing: Listing, store: LocalStore, splits: list[SplitFolder], known: tuple[str, ...] | None, order: ClassOrder
) -> list[int]:
    """Add the class folders of all splits, with one list of classes; gives the rows that each split has."""
    source = Path(store.root)
    names = order_classes({name for split in splits for name in split.classes}, order)
    check_class_names(source, names)
    numbers = {name: number for number, name in enumerate(known if known is not None else names)}
    _refuse_unknown(source, names, numbers)
    images: Counter[str] = Counter()
    skipped = {name: Counter[str]() for name in names}
    rows = []
    for split in splits:
        first = len(listing)
        for name in order_classes(split.classes, order):
            listed, before = listing.listed, listing.skipped.copy()
            _list_below(listing, store, f"{split.prefix}{name}/", float(numbers[name]), ("", split.prefix))
            images[name] += listing.listed - listed
            skipped[name] += listing.skipped - before
        rows.append(len(listing) - first)
    if known is None:
        _refuse_empty(source, images, skipped)
        listing.notices += filter(None, [numeric_notice(names)])
    listing.classes = known if known is not None else tuple(names)
    return rows


def _refuse_unknown(source: Path, names: Iterable[str], numbers: Mapping[str, int]) -> None:
    for name in names:
        if name not in numbers:
            raise SourceError(
                f"{source}: class folder {name!r} is not among the {len(numbers)} names of classes (--classes): "
                "add it at the end of that file, or move the folder away"
            )


def _refuse_empty(source: Path, images: Mapping[str, int], skipped: Mapping[str, Counter[str]]) -> None:
    for name, count in images.items():
        if not count:
            raise SourceError(
                f"{source}: class folder {name!r} holds no image ({describe_skipped(skipped[name])}): "
                "remove it, or put images into it, since it would take a label number for nothing"
            )


def _divide(listing: Listing, source: Path, divided: SplitFolders, rows: list[int]) -> None:
    """Note which split each row is of, and what was recognised."""
    column = array("H")
    for number, (split, count) in enumerate(zip(divided.splits, rows, strict=True)):
        if not count:
            raise SourceError(
                f"{source}: the class folders of split {split.name!r} hold no image that can be listed: remove the "
                "folder, or put images into it"
            )
        column.extend(array("H", [number]) * count)
    listing.own_splits = OwnSplits(tuple(split.name for split in divided.splits), column)
    listing.skipped += divided.skipped
    listing.notices += divided.notices()
    listing.notices += filter(None, [_untrained(listing)])


def _untrained(listing: Listing) -> Notice | None:
    """The warning that classes have no images to train on; None where all have some."""
    assert listing.own_splits is not None and listing.classes is not None
    train = next((n for n, name in enumerate(listing.own_splits.names) if name.lower() == "train"), None)
    if train is None:
        return None
    trained = {labels for labels, split in zip(listing.labels, listing.own_splits.rows, strict=True) if split == train}
    others = sorted(set(listing.labels) - trained)
    return Notice("class-untrained", len(others), listing.classes[int(others[0][0])]) if others else None


def _list_below(listing: Listing, store: LocalStore, folder: str, label: float, above: Iterable[str] = ()) -> None:
    """Add every image below ``folder``: a folder's own files in sorted order, then its folders' in sorted order.

    A folder that several links lead to is listed once, and those ``above`` never, so that circles end.
    """
    labels = (label,)
    visited = {folder_identity(os.path.join(store.root, each)) for each in above}
    unvisited = [folder]
    while unvisited:
        folder = unvisited.pop()
        identity = folder_identity(os.path.join(store.root, folder))
        if identity is not None and identity in visited:
            listing.skipped["linked folder listed already"] += 1
            continue
        visited.add(identity)
        files, folders = scan(store, folder, listing.skipped)
        for item in files:
            _add_file(listing, item, folder + item.name, labels)
        unvisited += [f"{folder}{item.name}/" for item in reversed(folders)]


def _add_file(listing: Listing, item: os.DirEntry[str], path: str, labels: tuple[float, ...]) -> None:
    dead = item.is_symlink() and not os.path.exists(item.path)
    # A dead link without suffix may have been a folder of images: it is listed, so that it becomes a reject by name.
    if not is_image(item) and not (dead and "." not in item.name):
        kind = "link that leads nowhere" if dead else "." + suffix(item.name) if "." in item.name else "without suffix"
        listing.skipped[kind] += 1
        return
    key = listing.listed
    if reason := lst.unlistable_reason(path):
        entry = Entry(key, labels, path.encode("utf-8", "backslashreplace").decode())
        what = f"its name cannot stand in a .lst file: {reason}: rename it"
        listing.unlistable.append(Rejected(entry, "read", what, "name"))
        return
    try:
        status = item.stat()
    except OSError:  # a dangling link, or a file that has just gone: reading rejects it by name
        listing.add(key, labels, path, Stat(-1, -1))
        return
    size = status.st_size if stat.S_ISREG(status.st_mode) else -1
    listing.add(key, labels, path, Stat(size, status.st_mtime_ns))
