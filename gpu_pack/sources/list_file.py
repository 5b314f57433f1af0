"""The images of a .lst file, in its order."""

from __future__ import annotations

import os
from pathlib import Path

from gpu_pack.errors import ListError, SourceError
from gpu_pack.formats import lst
from gpu_pack.sources.listing import Listing
from gpu_pack.stores.local import LocalStore


def list_file(
    source: Path, root: Path, classes: tuple[str, ...] | None = None, *, allow_outside: bool = False
) -> Listing:
    """The images of a .lst file, in its order.

    Args:
        root: the folder that its paths are relative to.
        classes: names by label.
        allow_outside: accept absolute paths, and paths that lead out of ``root``.

    Raises:
        SourceError: no such file or root, or an empty list.
        ListError: a line that cannot be used.
    """
    if not root.is_dir():
        raise SourceError(f"{root}: no such folder; --root names the folder that the paths in {source} start from")
    store = LocalStore(str(root))
    listing = Listing(store, classes=classes)
    shared: dict[tuple[float, ...], tuple[float, ...]] = {}
    for number, entry in lst.read_numbered(source, unique=True):
        if not allow_outside and (reason := _outside(entry.path, root)):
            raise ListError(
                f"{source}:{number}: {entry.path!r} {reason} {root}: correct it, or allow it with --allow-outside"
            )
        if classes is not None and not all(value.is_integer() and 0 <= value < len(classes) for value in entry.labels):
            labels = ", ".join(f"{label:.9g}" for label in entry.labels)
            raise ListError(f"{source}:{number}: label {labels} is none of the {len(classes)} of --classes")
        # One tuple for all rows that share it: a million tuples would take a hundred megabytes.
        labels_ = shared.setdefault(entry.labels, entry.labels)
        listing.add(entry.key, labels_, entry.path, store.stat(entry.path))
    if not listing.paths:
        raise SourceError(f"{source}: the list is empty")
    return listing


def _outside(path: str, root: Path) -> str:
    """Why a path is not, or may not be, below ``root``; empty where it is."""
    # After a link, .. is somewhere else than it seems.
    if ".." in path and ".." in path.replace("\\", "/" if os.name == "nt" else "\\").split("/"):
        return "has '..' in it, which may lead out of"
    if path.startswith(("/", "\\")) or (os.name == "nt" and ":" in path):
        inside = os.path.join(os.path.abspath(root), "")
        return "" if os.path.abspath(path).startswith(inside) else "leads out of"
    return ""
