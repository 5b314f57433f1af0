"""What lies in one folder: files and folders, which files are images, and links that lead nowhere."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable

from gpu_pack.errors import SourceError
from gpu_pack.formats import image_headers
from gpu_pack.stores.local import LocalStore

#: Files with these suffixes are listed unread; any other file is opened, and its first bytes decide.
_IMAGE_SUFFIXES = frozenset({"jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "tif", "tiff"})
#: Names that operating systems leave in folders; not counted as skipped.
_SYSTEM_NAMES = frozenset({"thumbs.db", "desktop.ini", ".ds_store", "__macosx"})
_HEAD_BYTES = 64

Items = list["os.DirEntry[str]"]


def scan(store: LocalStore, folder: str, skipped: Counter[str]) -> tuple[Items, Items]:
    """Files and folders directly in a folder, without hidden folders, system files and macOS's ``._name`` twins.

    Raises:
        SourceError: it cannot be listed.
    """
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


def refuse_dead_links(files: Iterable[os.DirEntry[str]]) -> None:
    """Refuse links that may have been class folders: without them, other classes would get other labels.

    Raises:
        SourceError: there is one. Those with the name of an image are no class folders; reading rejects them.
    """
    for item in files:
        if item.name.startswith(".") or suffix(item.name) in _IMAGE_SUFFIXES:
            continue
        try:
            os.stat(item.path)
        except OSError as error:
            raise SourceError(
                f"{item.path}: a link that leads nowhere ({error.strerror or error}), where folders decide the labels: "
                "mend it, or remove it if it is no class"
            ) from error


def is_image(item: os.DirEntry[str]) -> bool:
    """Whether a file has the name of an image or begins as one."""
    return suffix(item.name) in _IMAGE_SUFFIXES or _begins_as_image(item.path)


def suffix(name: str) -> str:
    """Behind the last dot, in lower case; the whole name without a dot."""
    return name.rpartition(".")[2].lower()


def describe_skipped(skipped: Counter[str]) -> str:
    """What was there in place of images."""
    if not skipped:
        return "there are no files"
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in skipped.most_common(5))
    return f"the files seen are {kinds}, none of them JPEG, PNG, WebP, BMP or TIFF"


def folder_identity(path: str) -> tuple[int, int] | None:
    """The device and inode of a folder, whatever path leads to it; None where the system has none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if status.st_ino else None


def _is_folder(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:  # a link to itself: reading rejects it by name
        return False


def _begins_as_image(path: str) -> bool:
    """Whether a file begins as an image does, in a supported format or another."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as file:
            return image_headers.sniff(file.read(_HEAD_BYTES)) is not None
    except (OSError, ValueError):
        return False
