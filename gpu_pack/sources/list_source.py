"""Whatever `create` is given, a folder or a .lst file, into a listing."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from gpu_pack.errors import ListError, SourceError, UsageError
from gpu_pack.formats import lst
from gpu_pack.sources.folder import list_folder
from gpu_pack.sources.listing import Listing

_MAX_CLASSES_BYTES = 64 << 20


def list_file(
    source: Path, root: Path, classes: tuple[str, ...] | None = None, *, allow_outside: bool = False
) -> Listing:
    """The images of a .lst file, in its order.

    Args:
        allow_outside: accept absolute paths, and paths that climb out of ``root``.

    Raises:
        SourceError: no such file or root, or an empty list.
        ListError: a line that cannot be used.
    """
    if not root.is_dir():
        raise SourceError(f"{root}: no such folder; --root names the folder that the paths in {source} start from")
    listing = Listing(str(root), classes=classes)
    shared: dict[tuple[float, ...], tuple[float, ...]] = {}
    for number, entry in lst.read_numbered(source, unique=True):
        if not allow_outside and (reason := _outside(entry.path, root)):
            raise ListError(
                f"{source}:{number}: {entry.path!r} {reason} {root}: correct it, or allow it with --allow-outside"
            )
        if classes is not None and not all(value.is_integer() and 0 <= value < len(classes) for value in entry.labels):
            raise ListError(
                f"{source}:{number}: label {_plain(entry.labels)} is none of the {len(classes)} of --classes"
            )
        size, mtime = look(os.path.join(root, entry.path))
        # One tuple for all rows that share it: a million of them would take a hundred megabytes.
        listing.add(entry.key, shared.setdefault(entry.labels, entry.labels), entry.path, size, mtime)
    if not listing.paths:
        raise SourceError(f"{source}: the list is empty")
    return listing


def look(path: str) -> tuple[int, int]:
    """Size in bytes and modification time in nanoseconds of a regular file; -1 and -1 where there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return -1, -1
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else (-1, -1)


def _outside(path: str, root: Path) -> str:
    """Why a path is not, or may not be, below ``root``; empty where it is."""
    # After a link, .. is somewhere else than it seems.
    if ".." in path and ".." in path.replace("\\", "/" if os.name == "nt" else "\\").split("/"):
        return "has '..' in it, which may lead out of"
    if path.startswith(("/", "\\")) or (os.name == "nt" and ":" in path):
        inside = os.path.join(os.path.abspath(root), "")
        return "" if os.path.abspath(path).startswith(inside) else "leads out of"
    return ""


def _plain(labels: tuple[float, ...]) -> str:
    return ", ".join(f"{label:.9g}" for label in labels)


def read_classes(path: Path) -> tuple[str, ...]:
    """The names of a classes.txt, by label.

    Raises:
        SourceError: unreadable, not UTF-8, empty, or with a blank or repeated name.
    """
    try:
        if (size := path.stat().st_size) > _MAX_CLASSES_BYTES:
            raise SourceError(f"{path}: {size} bytes; this is no list of class names")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: not UTF-8 at byte {error.start}") from error
    lines = text.split("\n")
    first: dict[str, int] = {}
    for number, line in enumerate(lines[:-1] if lines[-1] == "" else lines, 1):
        name = line.rstrip("\r")
        if not name.strip():
            raise SourceError(f"{path}:{number}: a blank line where a class name should be")
        if name in first:
            raise SourceError(f"{path}:{number}: class {name!r} stands on line {first[name]} already")
        first[name] = number
    if not first:
        raise SourceError(f"{path}: no class names in it")
    return tuple(first)


def list_source(
    source: Path, root: Path | None, classes: tuple[str, ...] | None, *, allow_outside: bool = False
) -> Listing:
    """A folder or a .lst file, whichever ``source`` is."""
    if source.suffix.lower() == ".lst" and not source.is_dir():
        if not source.exists():
            raise SourceError(f"{source}: no such file")
        return list_file(source, root if root is not None else source.parent, classes, allow_outside=allow_outside)
    if source.is_file():
        raise SourceError(f"{source}: neither a folder nor a .lst file")
    for given, flag in ((root is not None, "--root"), (allow_outside, "--allow-outside")):
        if given:
            raise UsageError(f"{flag} is about the paths in a .lst file, and {source} is a folder: leave it out")
    return list_folder(source, classes)
