"""Folders of images, wherever they lie: on a disk, in an archive, in a bucket."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Protocol

from gpu_pack.formats import image_headers
from gpu_pack.stores.local import LocalStore
from gpu_pack.stores.store import Stat, StoreItem
from gpu_pack.types import Place

#: Files with these suffixes are listed unread; any other file is opened, and its first bytes decide.
IMAGE_SUFFIXES = frozenset({"jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "tif", "tiff"})
#: Names that operating systems leave in folders; not counted as skipped.
SYSTEM_NAMES = frozenset({"thumbs.db", "desktop.ini", ".ds_store", "__macosx"})
#: Enough to recognise an image.
HEAD_BYTES = 64


class TreeFile(Protocol):
    """A file of a tree."""

    @property
    def name(self) -> str:
        """Without its folder."""
        ...

    @property
    def path(self) -> str:
        """As `Entry.path`."""
        ...

    def stat(self) -> Stat:
        """Its size and version; -1 where it is no regular file."""
        ...

    def place(self) -> Place | None:
        """Where it lies inside of another file."""
        ...

    def begins_as_image(self) -> bool:
        """Whether its first bytes are those of an image, in a supported format or another."""
        ...

    def dead_link(self) -> str:
        """Why this link leads nowhere; empty for any other file."""
        ...

    def refused(self) -> tuple[str, str] | None:
        """The reason and the code of a reject, for a file that is not to be read."""
        ...


class Tree(Protocol):
    """Folders with files in them. Paths of folders are relative, and end with ``/`` unless empty.

    Attributes:
        source: its name in messages.
        name: what a class that has no other name is called: that of the folder or archive.
    """

    source: str
    name: str

    def scan(self, folder: str, skipped: Counter[str]) -> tuple[Iterable[TreeFile], list[str]]:
        """The files and the names of the folders directly in a folder, sorted by name.

        The files can be gone through several times.

        Hidden folders are counted as skipped; system files and macOS's ``._name`` twins are passed over.

        Raises:
            SourceError: it cannot be listed.
        """
        ...

    def identity(self, folder: str) -> Hashable:
        """The same for all paths of a folder that links lead to; None where there are no links."""
        ...


def is_image(file: TreeFile) -> bool:
    """Whether a file has the name of an image or begins as one."""
    return suffix(file.name) in IMAGE_SUFFIXES or file.begins_as_image()


def may_be_image(name: str) -> bool:
    """Whether a name alone tells that a file is listed as an image: macOS's ``._name`` twins have it too."""
    return suffix(name) in IMAGE_SUFFIXES and not name.startswith("._")


def suffix(name: str) -> str:
    """Behind the last dot, in lower case; the whole name without a dot."""
    return name.rpartition(".")[2].lower()


class LocalTree:
    """A `Tree` over a local folder. Links to folders are followed."""

    def __init__(self, store: LocalStore, source: str) -> None:
        self.source = source
        self.name = os.path.basename(os.path.realpath(store.root))
        self._store = store

    def scan(self, folder: str, skipped: Counter[str]) -> tuple[list[TreeFile], list[str]]:
        """See `Tree.scan`."""
        files: list[TreeFile] = []
        folders = []
        for item in self._store.list(folder):
            name = item.name
            if name.lower() in SYSTEM_NAMES:
                continue
            if not is_folder(item):
                file = _LocalTreeFile(item, folder)
                if not name.startswith("._") or file.begins_as_image():
                    files.append(file)
            elif name.startswith("."):
                skipped["hidden folder"] += 1
            else:
                folders.append(name)
        return files, folders

    def identity(self, folder: str) -> Hashable:
        """See `Tree.identity`."""
        return folder_identity(os.path.join(self._store.root, folder))


class _LocalTreeFile:
    """A `TreeFile`."""

    __slots__ = ("_item", "name", "path")

    def __init__(self, item: os.DirEntry[str], folder: str) -> None:
        self._item, self.name = item, item.name
        self.path = folder + item.name

    def stat(self) -> Stat:
        try:
            status = self._item.stat()
        except OSError:  # a dangling link, or a file that has just gone: reading rejects it by name
            return Stat(-1, -1)
        return Stat(status.st_size if stat.S_ISREG(status.st_mode) else -1, status.st_mtime_ns)

    def place(self) -> None:
        return None

    def refused(self) -> None:
        return None

    def begins_as_image(self) -> bool:
        try:
            if not stat.S_ISREG(os.stat(self._item.path).st_mode):
                return False
            with open(self._item.path, "rb") as file:
                return begins_as_image(file.read(HEAD_BYTES))
        except (OSError, ValueError):
            return False

    def dead_link(self) -> str:
        if not self._item.is_symlink():
            return ""
        try:
            os.stat(self._item.path)
        except OSError as error:
            return error.strerror or str(error)
        return ""


def begins_as_image(head: bytes) -> bool:
    """Whether these are the first bytes of an image, in a supported format or another; 64 are enough."""
    return image_headers.sniff(head) is not None


def folder_identity(path: str) -> tuple[int, int] | None:
    """The device and inode of a folder, whatever path leads to it; None where the system has none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if status.st_ino else None


def is_folder(item: StoreItem) -> bool:
    """Whether it is a folder, or a link to one."""
    try:
        return item.is_dir()
    except OSError:  # a link to itself: reading rejects it by name
        return False
