"""The images of a .lst file, in its order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gpu_pack.errors import ListError, SourceError
from gpu_pack.formats import lst
from gpu_pack.formats.notices import Notice
from gpu_pack.sources.find_dialect import find_dialect
from gpu_pack.sources.found import Facts, Found
from gpu_pack.sources.list_dialect import unquote
from gpu_pack.sources.open_source import OpenSource, SourceFiles
from gpu_pack.sources.source_options import ListFormat, SourceOptions
from gpu_pack.sources.spool import Spool
from gpu_pack.stores.local import LocalStore
from gpu_pack.stores.store import Stat
from gpu_pack.types import Entry


def open_list(files: SourceFiles, options: SourceOptions, classes: tuple[str, ...] | None, spool: Spool) -> OpenSource:
    """The images of a .lst file, in its order and with its keys.

    Args:
        files: one list.
        options: the root and the format.
        classes: names by label; every label must be one.
        spool: for a list that is not on this machine.

    Raises:
        SourceError: no such file or root.
    """
    source = Path(spool.local_copy(files.store, files.paths[0]))
    root = Path(options.root) if options.root is not None else source.parent
    if not root.is_dir():
        raise SourceError(
            f"{root}: no such folder; root (--root) names the folder that the paths in {source} start from"
        )
    facts = Facts(files.source, ordered=True)
    store = LocalStore(str(root))
    return OpenSource(store, _find(source, store, options, classes, facts), facts)


def _find(
    source: Path, store: LocalStore, options: SourceOptions, classes: tuple[str, ...] | None, facts: Facts
) -> Iterator[Found]:
    """The images of a list.

    Raises:
        ListError: a line that cannot be used, or a list that is written in a way that is not known.
        SourceError: an empty list.
    """
    root = Path(store.root)
    repaired: list[str] = []
    number = 0
    for number, entry in _entries(source, options.list_format, facts):
        if classes is not None and not all(value.is_integer() and 0 <= value < len(classes) for value in entry.labels):
            labels = ", ".join(f"{label:.9g}" for label in entry.labels)
            raise ListError(f"{source}:{number}: label {labels} is none of the {len(classes)} of classes (--classes)")
        path, stat = _existing(store, entry.path)
        for each in () if options.allow_outside else dict.fromkeys((entry.path, path)):
            if reason := _outside(each, root):
                raise ListError(
                    f"{source}:{number}: {each!r} {reason} {root}: correct it, or allow it with allow_outside=True "
                    "(--allow-outside)"
                )
        if path != entry.path:
            repaired.append(entry.path)
        yield Found(path, stat, entry.labels, key=entry.key)
    if not number:
        raise SourceError(f"{source}: the list is empty")
    facts.notices += _repairs(repaired)


def _entries(source: Path, asked: ListFormat, facts: Facts) -> Iterator[tuple[int, Entry]]:
    """Line numbers and entries, however the list is written."""
    path = os.fspath(source)
    dialect = find_dialect(path, asked)
    if dialect is None:
        return lst.read_numbered(path, unique=True)
    facts.notices.append(Notice("list-dialect", 1, str(dialect)))
    return lst.parse_lines(dialect.lines(path, facts.notices), path, unique=True)


def _existing(store: LocalStore, path: str) -> tuple[str, Stat]:
    """The path, if there is such a file, else the same without quotes or with / for backslashes; and its stat."""
    stat, plain = store.stat(path), unquote(path)
    for other in (plain, plain.replace("\\", "/")) if stat.size < 0 else ():
        if other != path and (found := store.stat(other)).size >= 0:
            return other, found
    return path, stat


def _repairs(paths: list[str]) -> Iterator[Notice]:
    slashed = [path for path in paths if "\\" in path]
    quoted = [path for path in paths if unquote(path) != path]
    if slashed:
        yield Notice("list-backslashes", len(slashed), slashed[0])
    if quoted:
        yield Notice("list-dialect", len(quoted), f"paths with quotes around them, as in {quoted[0]}")


def _outside(path: str, root: Path) -> str:
    """Why a path is not, or may not be, below ``root``; empty where it is."""
    # After a link, .. is somewhere else than it seems.
    if ".." in path and ".." in path.replace("\\", "/" if os.name == "nt" else "\\").split("/"):
        return "has '..' in it, which may lead out of"
    if path.startswith(("/", "\\")) or (os.name == "nt" and ":" in path):
        inside = os.path.join(os.path.abspath(root), "")
        return "" if os.path.abspath(path).startswith(inside) else "leads out of"
    return ""
