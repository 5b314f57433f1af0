"""The paths that lists and tables name: found below their root, mended where only that leads to a file, or refused."""

from __future__ import annotations

import os
from collections.abc import Iterator

from gpu_pack.errors import ListError, SourceError
from gpu_pack.formats.notices import Notice
from gpu_pack.sources.list_dialect import unquote
from gpu_pack.sources.listed_stats import ListedStats
from gpu_pack.sources.tree import IMAGE_SUFFIXES, suffix
from gpu_pack.stores.address import StoreOptions, is_address
from gpu_pack.stores.object_store import ObjectStore
from gpu_pack.stores.open_store import open_store
from gpu_pack.stores.store import Stat, Store

_SUFFIXES = ("jpg", "jpeg", "png", "JPG", "JPEG", "PNG", *sorted(IMAGE_SUFFIXES - {"jpg", "jpeg", "png"}))
#: Characters of a path in messages.
_MOST_SHOWN = 300


def open_root(root: str, source: str, options: StoreOptions) -> Store:
    """The store of the paths in a list or table.

    Args:
        root: a folder or an address.
        source: the list, for messages.
        options: how an address is reached.

    Raises:
        SourceError: there is no such folder.
    """
    if not is_address(root) and not os.path.isdir(root or "."):
        raise SourceError(
            f"{root}: no such folder; root (--root) names the folder that the paths in {source} start from"
        )
    return open_store(root, options)


class ListedPaths:
    """Finds paths in a store.

    Args:
        store: where they start.
        allow_outside: let them lead out of its root.
        suffixes: look for images of that name where a path has no image's suffix.
    """

    def __init__(self, store: Store, *, allow_outside: bool, suffixes: bool = False) -> None:
        self._store, self._allow_outside = store, allow_outside
        self._stat = ListedStats(store).stat if isinstance(store, ObjectStore) else store.stat
        self._suffixes = list(_SUFFIXES) if suffixes else []
        self._slashed, self._quoted = (0, ""), (0, "")

    def find(self, path: str, where: str) -> tuple[str, Stat]:
        """The path of a file, and its stat: -1 where there is none.

        Args:
            path: as the list has it.
            where: the list and the line, for messages.

        Raises:
            ListError: it leads out of the root, or may do so.
        """
        found, stat = self._existing(path)
        for each in () if self._allow_outside else dict.fromkeys((path, found)):
            if reason := _outside(each, self._store.root):
                raise ListError(
                    f"{where}: {shown_path(each)} {reason} {self._store.root}: correct it, or allow it with "
                    "allow_outside=True (--allow-outside)"
                )
        if found != path:
            self._note(path)
        return found, stat

    def notices(self) -> Iterator[Notice]:
        """What was mended."""
        if self._slashed[0]:
            yield Notice("list-backslashes", *self._slashed)
        if self._quoted[0]:
            yield Notice("list-dialect", self._quoted[0], f"paths with quotes around them, as in {self._quoted[1]}")

    def _existing(self, path: str) -> tuple[str, Stat]:
        """The path, if there is such a file, else the same without quotes or with / for backslashes; and its stat."""
        stat, plain = self._stat(path), unquote(path)
        if stat.size >= 0:
            return path, stat
        for other in (plain, plain.replace("\\", "/")):
            if other != path and (found := self._stat(other)).size >= 0:
                return other, found
        return self._with_suffix(path, stat)

    def _with_suffix(self, path: str, missing: Stat) -> tuple[str, Stat]:
        if self._suffixes and suffix(path) not in IMAGE_SUFFIXES:
            for place, each in enumerate(self._suffixes):
                if (found := self._stat(f"{path}.{each}")).size >= 0:
                    self._suffixes.insert(0, self._suffixes.pop(place))  # most likely the next one's too
                    return f"{path}.{each}", found
        return path, missing

    def _note(self, path: str) -> None:
        if "\\" in path:
            self._slashed = self._slashed[0] + 1, self._slashed[1] or path
        if unquote(path) != path:
            self._quoted = self._quoted[0] + 1, self._quoted[1] or path


def shown_path(path: str) -> str:
    """A path in messages, cut where it may be a picture in base64, whose first character is / for a JPEG."""
    return repr(path) if len(path) <= _MOST_SHOWN else f"{path[:40]!r}..."


def _outside(path: str, root: str) -> str:
    """Why a path is not, or may not be, below ``root``; empty where it is."""
    # After a link, .. is somewhere else than it seems.
    if ".." in path and ".." in path.replace("\\", "/" if os.name == "nt" else "\\").split("/"):
        return "has '..' in it, which may lead out of"
    if path.startswith(("/", "\\")) or (os.name == "nt" and ":" in path):
        inside = os.path.join(os.path.abspath(root), "")
        return "" if os.path.abspath(path).startswith(inside) else "leads out of"
    return ""
