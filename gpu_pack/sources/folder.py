"""The images of a folder: a class for each top-level folder, or label 0 where there are none.

One scandir a folder and one stat a file: a hundred thousand files take well under a second, and the run notices later
that a file changed. Links to folders are followed, as im2rec does, but never in a circle.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from gpu_pack.errors import SourceError
from gpu_pack.formats import image_headers, lst
from gpu_pack.sources.listing import Listing
from gpu_pack.stores.local import LocalStore
from gpu_pack.stores.store import Stat
from gpu_pack.types import Entry, Rejected

#: Files with these suffixes are listed unread; any other file is opened, and its first bytes decide.
_IMAGE_SUFFIXES = frozenset({"jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "tif", "tiff"})
#: Names that operating systems leave in folders; not counted as skipped.
_SYSTEM_NAMES = frozenset({"thumbs.db", "desktop.ini", ".ds_store", "__macosx"})
_HEAD_BYTES = 64

_Items = list["os.DirEntry[str]"]


def list_folder(source: Path, classes: tuple[str, ...] | None = None) -> Listing:
    """Every image below ``source``: a class for each top-level folder, or label 0 where there are none.

    Args:
        source: the folder.
        classes: names by label; without it, classes are numbered in sorted order.

    Raises:
        SourceError: no such folder, no images, an empty or unknown class, clashing names, images beside classes.
    """
    if not source.is_dir():
        raise SourceError(f"{source}: no such folder" if not source.exists() else f"{source}: not a folder")
    store = LocalStore(str(source))
    listing = Listing(store)
    skipped: Counter[str] = Counter()
    files, folders = _scan(store, "", skipped)
    if folders:
        listing.skipped += skipped
        _refuse_loose_images(source, files)
        _list_classes(listing, source, [item.name for item in folders], classes)
    else:
        _list_below(listing, store, "", _folder_label(source, classes))
        listing.classes = classes if classes is not None else (source.resolve().name,)
    if not listing.paths and not listing.unlistable:
        raise SourceError(f"{source}: no images found: {_describe_skipped(listing.skipped)}")
    return listing


def folder_identity(path: str) -> tuple[int, int] | None:
    """The device and inode of a folder, whatever path leads to it; None where the system has none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if status.st_ino else None


def _refuse_loose_images(source: Path, files: _Items) -> None:
    for item in files:
        if _is_image(item):
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
            "names of --classes: put them into a folder of their class's name"
        )
    return float(classes.index(name))


def _list_classes(listing: Listing, source: Path, folders: list[str], known: tuple[str, ...] | None) -> None:
    _check_class_names(source, folders)
    store = LocalStore(str(source))
    numbers = {name: number for number, name in enumerate(known if known is not None else folders)}
    for name in folders:
        if name not in numbers:
            raise SourceError(
                f"{source}: class folder {name!r} is not among the {len(numbers)} names of --classes: "
                "add it at the end of that file, or move the folder away"
            )
        found, skipped = listing.listed, listing.skipped.copy()
        _list_below(listing, store, name + "/", float(numbers[name]))
        if listing.listed == found and known is None:
            raise SourceError(
                f"{source}: class folder {name!r} holds no image ({_describe_skipped(listing.skipped - skipped)}): "
                "remove it, or put images into it, since it would take a label number for nothing"
            )
    listing.classes = known if known is not None else tuple(folders)


def _check_class_names(source: Path, names: Iterable[str]) -> None:
    """Refuse names that classes.txt cannot hold, one a line, or that look the same."""
    seen: dict[str, str] = {}
    for name in names:
        if reason := lst.unlistable_reason(name):
            raise SourceError(
                f"{source}: class folder {name!r} cannot be written into classes.txt: {reason}: rename it"
            )
        other = seen.setdefault(unicodedata.normalize("NFC", name), name)
        if other != name:
            raise SourceError(
                f"{source}: class folders {other!r} and {name!r} have the same name in two Unicode "
                "spellings: merge them, or rename one"
            )


def _list_below(listing: Listing, store: LocalStore, folder: str, label: float) -> None:
    """Add every image below ``folder``: a folder's own files in sorted order, then its folders' in sorted order.

    A folder that several links lead to is listed once, and the source itself only from above, so that circles end.
    """
    labels = (label,)
    visited = {folder_identity(store.root)} if folder else set()
    unvisited = [folder]
    while unvisited:
        folder = unvisited.pop()
        identity = folder_identity(os.path.join(store.root, folder))
        if identity is not None and identity in visited:
            listing.skipped["linked folder listed already"] += 1
            continue
        visited.add(identity)
        files, folders = _scan(store, folder, listing.skipped)
        for item in files:
            _add_file(listing, item, folder + item.name, labels)
        unvisited += [f"{folder}{item.name}/" for item in reversed(folders)]


def _scan(store: LocalStore, folder: str, skipped: Counter[str]) -> tuple[_Items, _Items]:
    """Files and folders directly in a folder, without hidden folders, system files and macOS's ``._name`` twins."""
    files, folders = [], []
    for item in store.list(folder):
        name = item.name
        if name.lower() in _SYSTEM_NAMES:
            continue
        if not _is_folder(item):
            if not name.startswith("._") or _begins_as_image(item.path):
                files.append(item)
        elif name.startswith("."):
            skipped["hidden folder"] += 1
        else:
            folders.append(item)
    return files, folders


def _add_file(listing: Listing, item: os.DirEntry[str], path: str, labels: tuple[float, ...]) -> None:
    if not _is_image(item):
        listing.skipped["." + _suffix(item.name) if "." in item.name else "without suffix"] += 1
        return
    key = listing.listed
    if reason := lst.unlistable_reason(path):
        entry = Entry(key, labels, path.encode("utf-8", "backslashreplace").decode())
        listing.unlistable.append(Rejected(entry, "read", f"its name cannot stand in a .lst file: {reason}: rename it"))
        return
    try:
        status = item.stat()
    except OSError:  # a dangling link, or a file that has just gone: reading rejects it by name
        listing.add(key, labels, path, Stat(-1, -1))
        return
    size = status.st_size if stat.S_ISREG(status.st_mode) else -1
    listing.add(key, labels, path, Stat(size, status.st_mtime_ns))


def _is_folder(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:  # a link to itself: reading rejects it by name
        return False


def _is_image(item: os.DirEntry[str]) -> bool:
    return _suffix(item.name) in _IMAGE_SUFFIXES or _begins_as_image(item.path)


def _begins_as_image(path: str) -> bool:
    """Whether a file begins as an image does, in a supported format or another."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as file:
            return image_headers.sniff(file.read(_HEAD_BYTES)) is not None
    except (OSError, ValueError):
        return False


def _suffix(name: str) -> str:
    return name.rpartition(".")[2].lower()


def _describe_skipped(skipped: Counter[str]) -> str:
    if not skipped:
        return "there are no files"
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in skipped.most_common(5))
    return f"the files seen are {kinds}, none of them JPEG, PNG, WebP, BMP or TIFF"
