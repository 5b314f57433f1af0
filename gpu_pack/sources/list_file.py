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
from gpu_pack.sources.listed_paths import ListedPaths, open_root
from gpu_pack.sources.open_source import OpenSource, SourceFiles
from gpu_pack.sources.source_options import ListFormat, SourceOptions
from gpu_pack.sources.spool import Spool
from gpu_pack.stores.store import Store
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
    store = files.store if options.root is None else open_root(options.root, files.source, options.store)
    facts = Facts(files.source, ordered=True)
    images = _find(source, store, options, classes, facts)
    copied = files.store.local_path("") is None
    return OpenSource(store, _naming(images, str(source), files.source) if copied else images, facts)


def _naming(images: Iterator[Found], copy: str, source: str) -> Iterator[Found]:
    """The same images; errors name the list, not its copy."""
    try:
        yield from images
    except SourceError as error:
        raise type(error)(str(error).replace(copy, source)) from error


def _find(
    source: Path, store: Store, options: SourceOptions, classes: tuple[str, ...] | None, facts: Facts
) -> Iterator[Found]:
    """The images of a list.

    Raises:
        ListError: a line that cannot be used, or a list that is written in a way that is not known.
        SourceError: an empty list.
    """
    paths = ListedPaths(store, allow_outside=options.allow_outside)
    number = 0
    for number, entry in _entries(source, options.list_format, facts):
        if classes is not None and not all(value.is_integer() and 0 <= value < len(classes) for value in entry.labels):
            labels = ", ".join(f"{label:.9g}" for label in entry.labels)
            raise ListError(f"{source}:{number}: label {labels} is none of the {len(classes)} of classes (--classes)")
        path, stat = paths.find(entry.path, f"{source}:{number}")
        yield Found(path, stat, entry.labels, key=entry.key)
    if not number:
        raise SourceError(f"{source}: the list is empty")
    facts.notices += paths.notices()


def _entries(source: Path, asked: ListFormat, facts: Facts) -> Iterator[tuple[int, Entry]]:
    """Line numbers and entries, however the list is written."""
    path = os.fspath(source)
    dialect = find_dialect(path, asked)
    if dialect is None:
        return lst.read_numbered(path, unique=True)
    facts.notices.append(Notice("list-dialect", 1, str(dialect)))
    return lst.parse_lines(dialect.lines(path, facts.notices), path, unique=True)
