"""A folder of images into a listing: a class for each top-level folder, or label 0 where there are none.

A folder is walked with scandir and one stat a file, so that a hundred thousand files take well under a second and the
run can tell later that a file changed. Links to folders are followed, as im2rec does, but never round in a circle.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from gpu_pack.errors import SourceError
from gpu_pack.formats import image_headers, lst
from gpu_pack.sources.listing import Listing
from gpu_pack.types import Entry, Rejected

#: Suffixes that are taken at their word when listing; any other file is opened, and its first bytes decide.
IMAGE_SUFFIXES = frozenset({"jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "tif", "tiff"})
#: What systems leave in folders; not counted as skipped.
_LITTER = frozenset({"thumbs.db", "desktop.ini", ".ds_store", "__macosx"})
_HEAD_BYTES = 64


def list_folder(source: Path, classes: tuple[str, ...] | None = None) -> Listing:
    """Every image below ``source``: a class for each top-level folder, or label 0 where there are none.

    Args:
        classes: label numbers from an earlier run, by name; without it, classes are numbered in sorted order.

    Raises:
        SourceError: no such folder, no images, an empty or unknown class, clashing names, loose images beside classes.
    """
    if not source.is_dir():
        raise SourceError(f"{source}: no such folder" if not source.exists() else f"{source}: not a folder")
    listing = Listing(str(source))
    found = _scan(str(source))
    folders = [item.name for item in found.folders]
    if folders:
        listing.skipped += found.hidden
        _refuse_loose_images(source, [item.name for item in found.files])
        _list_classes(listing, source, folders, classes)
    else:
        _list_below(listing, str(source), "", _label_of(source, classes), set())
        listing.classes = classes if classes is not None else (source.resolve().name,)
    if not listing.paths and not listing.unlistable:
        raise SourceError(f"{source}: no images found: {_seen(listing.skipped)}")
    return listing


def _refuse_loose_images(source: Path, names: list[str]) -> None:
    for name in names:
        if _suffix(name) in IMAGE_SUFFIXES or _looks_like_image(os.path.join(source, name)):
            raise SourceError(
                f"{source}: image {name!r} lies beside the class folders and so has no class: "
                "move it into one of them, or out of the source"
            )


def _label_of(source: Path, classes: tuple[str, ...] | None) -> float:
    """The label of images that lie loose in ``source``: with class names given, the one that the folder bears."""
    if classes is None:
        return 0.0
    name = source.resolve().name
    if name not in classes:
        raise SourceError(
            f"{source}: its images lie loose, and its own name {name!r} is not among the {len(classes)} names of "
            "--classes: put them into a folder of their class's name"
        )
    return float(classes.index(name))


def _list_classes(listing: Listing, source: Path, folders: list[str], known: tuple[str, ...] | None) -> None:
    _check_class_names(source, folders)
    numbers = {name: number for number, name in enumerate(known if known is not None else folders)}
    for name in folders:
        if name not in numbers:
            raise SourceError(
                f"{source}: class folder {name!r} is not among the {len(numbers)} names of --classes: "
                "add it at the end of that file, or move the folder away"
            )
        before = len(listing) + len(listing.unlistable)
        skipped = listing.skipped.copy()
        walked = {identity} if (identity := folder_identity(str(source))) else set()
        _list_below(listing, os.path.join(source, name), name + "/", float(numbers[name]), walked)
        if len(listing) + len(listing.unlistable) == before and known is None:
            raise SourceError(
                f"{source}: class folder {name!r} holds no image ({_seen(listing.skipped - skipped)}): "
                "remove it, or put images into it, since it would take a label number for nothing"
            )
    listing.classes = known if known is not None else tuple(folders)


def _check_class_names(source: Path, names: list[str]) -> None:
    """classes.txt has one name a line, so names must survive that, and stay apart."""
    seen: dict[str, str] = {}
    for name in names:
        if reason := lst.nameable_error(name):
            raise SourceError(
                f"{source}: class folder {name!r} cannot be written into classes.txt: {reason}: rename it"
            )
        plain = unicodedata.normalize("NFC", name)
        if plain in seen:
            raise SourceError(
                f"{source}: class folders {seen[plain]!r} and {name!r} have the same name in two Unicode "
                "spellings: merge them, or rename one"
            )
        seen[plain] = name


def _list_below(listing: Listing, folder: str, prefix: str, label: float, walked: set[tuple[int, int]]) -> None:
    """Add every image below ``folder``: a folder's own files in sorted order, then its folders' in sorted order.

    ``walked`` holds the folders that are not walked again, so that links in a circle, or many to one place, end.
    """
    labels = (label,)
    pending = [(folder, prefix)]
    while pending:
        path, prefix = pending.pop()
        identity = folder_identity(path)
        if identity in walked:
            listing.skipped["linked folder listed already"] += 1
            continue
        if identity:
            walked.add(identity)
        found = _scan(path)
        listing.skipped += found.hidden
        for item in found.files:
            _add_file(listing, item, prefix + item.name, labels)
        pending += [(item.path, f"{prefix}{item.name}/") for item in reversed(found.folders)]


def folder_identity(path: str) -> tuple[int, int] | None:
    """What tells a folder from every other, whatever name it goes by; None where the system cannot say."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if status.st_ino else None


class _FolderContents(NamedTuple):
    """What lies in one folder, sorted by name; ``hidden`` counts what is passed over."""

    files: list[os.DirEntry[str]]
    folders: list[os.DirEntry[str]]
    hidden: Counter[str]


def _scan(path: str) -> _FolderContents:
    """One folder, without hidden folders and without what systems leave, such as macOS's ``._name`` twins of files."""
    try:
        with os.scandir(path) as listed:
            entries = sorted(listed, key=lambda item: item.name)
    except OSError as error:
        raise SourceError(f"{path}: cannot be listed: {error.strerror or error}") from error
    found = _FolderContents([], [], Counter())
    for item in entries:
        name = item.name
        if name.lower() in _LITTER:
            continue
        if not _is_folder(item):
            if not name.startswith("._") or _looks_like_image(item.path):
                found.files.append(item)
        elif name.startswith("."):
            found.hidden["hidden folder"] += 1
        else:
            found.folders.append(item)
    return found


def _is_folder(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:  # a link to itself: reading will say so, by name
        return False


def _suffix(name: str) -> str:
    return name.rpartition(".")[2].lower()


def _add_file(listing: Listing, item: os.DirEntry[str], path: str, labels: tuple[float, ...]) -> None:
    suffix = _suffix(item.name)
    if suffix not in IMAGE_SUFFIXES and not _looks_like_image(item.path):
        listing.skipped["." + suffix if "." in item.name else "without suffix"] += 1
        return
    key = len(listing.paths) + len(listing.unlistable)
    if reason := lst.nameable_error(path):
        entry = Entry(key, labels, path.encode("utf-8", "backslashreplace").decode())
        listing.unlistable.append(Rejected(entry, "read", f"its name cannot stand in a .lst file: {reason}: rename it"))
        return
    try:
        status = item.stat()
    except OSError:  # a dangling link, or a file that has just gone: reading will say so, by name
        listing.add(key, labels, path, -1, -1)
        return
    listing.add(key, labels, path, status.st_size if stat.S_ISREG(status.st_mode) else -1, status.st_mtime_ns)


def _looks_like_image(path: str) -> bool:
    """Whether a file of unknown suffix begins as an image does, supported or not."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as file:
            return image_headers.sniff(file.read(_HEAD_BYTES)) is not None
    except (OSError, ValueError):
        return False


def _seen(skipped: Counter[str]) -> str:
    if not skipped:
        return "there are no files"
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in skipped.most_common(5))
    return f"the files seen are {kinds}, none of them JPEG, PNG, WebP, BMP or TIFF"
