"""Whatever `create` is given, one source or several, as a listing.

A new kind of source is a module with an ``open_...`` function, a line in `_OPENERS`, its name and words in
`source_options` (`SourceFormat`, `_WORDS`, and `_ABOUT` for options that are about it), and a rule in `recognize`
(`_MAGICS` or `_SUFFIXES`; `SETS` if several files make one set). `Spool.local_copy` gives a file of any store as one of
this machine.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Sequence

from gpu_pack.errors import SourceError, UsageError, told
from gpu_pack.formats.class_numbers import read_class_numbers
from gpu_pack.formats.classes import read_classes
from gpu_pack.sources.find_sources import Located, locate
from gpu_pack.sources.folder import find_in_folder
from gpu_pack.sources.found import Facts, Found
from gpu_pack.sources.given import GivenImages, open_given
from gpu_pack.sources.label_file import with_labels
from gpu_pack.sources.listing import Listing
from gpu_pack.sources.make_listing import make_listing
from gpu_pack.sources.number_names import NumberNames, name_numbers, name_where_they_differ
from gpu_pack.sources.open_source import OpenSource, SourceFiles
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.spool import Spool
from gpu_pack.sources.tree import LocalTree, Tree
from gpu_pack.stores.joined_store import JoinedStore
from gpu_pack.stores.local import LocalStore

Classes = tuple[str, ...] | None


def list_source(
    sources: Sequence[str] | GivenImages,
    options: SourceOptions,
    spool: Spool,
    splits: Sequence[tuple[str, str]] = (),
) -> Listing:
    """The images of all sources, as one set.

    Args:
        sources: paths, quoted patterns, or addresses; or what a caller in Python gave.
        options: what is said of them.
        spool: for what cannot be read where it lies.
        splits: names with a source each, in place of ``sources``.

    Raises:
        SourceError: there is nothing that can be packed as asked.
        UsageError: an option that is not about such a source.
    """
    classes = read_classes(options.classes) if options.classes is not None else None
    names = _number_names(options)
    _check_labels(options, splits)
    opened = [
        (split, _labelled(split, source, options, names))
        for split, source in _open_all(sources, options, None if names else classes, spool, splits)
    ]
    opened = name_where_they_differ(opened, classes)
    joined = opened[0][1] if len(opened) == 1 and not splits else _join(opened)
    listing = make_listing(joined.images, joined.facts, joined.store, classes, options.class_order)
    if names is not None:
        names.check_used()
    return listing


def _open_all(
    sources: Sequence[str] | GivenImages,
    options: SourceOptions,
    classes: Classes,
    spool: Spool,
    splits: Sequence[tuple[str, str]],
) -> Iterator[tuple[str | None, OpenSource]]:
    """Every source, with the name of the split that it is for."""
    if isinstance(sources, GivenImages):
        options.check_kind(str(sources), "given")
        yield None, open_given(sources, spool)
        return
    wanted: list[tuple[str | None, Sequence[str]]] = [(None, sources)] if sources else []
    wanted += [(name, [source]) for name, source in splits]
    for name, given in wanted:
        for located in locate(given, options):
            yield name, _open(located, options, classes, spool)


def _open(located: Located, options: SourceOptions, classes: Classes, spool: Spool) -> OpenSource:
    options.check_kind(located.files.source, located.kind)
    opened = _opener(located.kind)(located.files, options, classes, spool)
    if opened.store.local_path("") is not None or spool.folder is None:
        return opened
    beside = JoinedStore(((spool.folder, LocalStore(spool.folder)), ("", opened.store)), opened.store.root)
    return opened._replace(store=beside)


def _number_names(options: SourceOptions) -> NumberNames | None:
    if options.class_names is None:
        return None
    names, counted = read_class_numbers(options.class_names)
    return NumberNames(str(options.class_names), names, counted=counted)


def _check_labels(options: SourceOptions, splits: Sequence[tuple[str, str]]) -> None:
    names = [name for name, _ in splits]
    for name, file in options.labels:
        if name is not None and name not in names:
            raise UsageError(
                f"{told('labels', f'{name}={file}')}: there is no split {name!r} with a source of its own "
                f"(--split {name}=SOURCE)"
            )


def _labelled(split: str | None, opened: OpenSource, options: SourceOptions, names: NumberNames | None) -> OpenSource:
    """With the labels of a file, and names for numbers, where these are given."""
    if (file := options.label_file(split)) is not None:
        opened = with_labels(opened, file, options)
    return opened if names is None else name_numbers(opened, names)


def open_folder(files: SourceFiles, options: SourceOptions, classes: Classes, spool: Spool) -> OpenSource:
    facts = Facts(files.source)
    if isinstance(files.store, LocalStore):
        tree: Tree = LocalTree(files.store, files.source)
    else:
        from gpu_pack.sources.remote_folder import remote_tree

        tree = remote_tree(files)
    return OpenSource(files.store, find_in_folder(tree, options, facts), facts)


def _opener(kind: str) -> Callable[[SourceFiles, SourceOptions, Classes, Spool], OpenSource]:
    """What opens a kind. Imported here: a run needs one of them, and all take as long as a small run."""
    module, name = _OPENERS[kind]
    found: Callable[[SourceFiles, SourceOptions, Classes, Spool], OpenSource]
    found = getattr(importlib.import_module(f"gpu_pack.sources.{module}"), name)
    return found


#: Module under `gpu_pack.sources` and function, by kind.
_OPENERS = {
    "folder": ("list_source", "open_folder"),
    "list": ("list_file", "open_list"),
    "parquet": ("parquet_source", "open_parquet"),
    "rec": ("records", "open_records"),
    "table": ("table_source", "open_table"),
    "tar": ("archives.open_tar", "open_tar"),
    "webdataset": ("archives.open_webdataset", "open_webdataset"),
    "zip": ("archives.open_zip", "open_zip"),
}


def _join(opened: Sequence[tuple[str | None, OpenSource]]) -> OpenSource:
    """Several sources as one. Their images' keys are given up, since each begins at 0."""
    facts = Facts(", ".join(dict.fromkeys(each.facts.source for _, each in opened)))
    prefixes = {_prefix(each): each.store for _, each in opened}
    prefixes.setdefault("", LocalStore(""))  # the spool, whose paths are absolute
    parts = sorted(prefixes.items(), key=lambda part: -len(part[0]))
    facts.splits += [name for name in dict.fromkeys(name for name, _ in opened) if name is not None]
    return OpenSource(JoinedStore(tuple(parts)), _joined(opened, facts), facts)


def _prefix(opened: OpenSource) -> str:
    """What the paths of a source begin with beside others: its root."""
    root = opened.store.root
    return root if root.endswith("/") or not root else root + "/"


def _joined(opened: Sequence[tuple[str | None, OpenSource]], facts: Facts) -> Iterator[Found]:
    names: set[str] = set()
    for split, source in opened:
        prefix, own = _prefix(source), source.facts
        for found in source.images:
            if split is not None and found.split is not None:
                raise SourceError(
                    f"{own.source}: it is divided already, and cannot be split {split!r}: give one of its own splits, "
                    "or for a table --split-column none"
                )
            place = found.place
            if place is not None and not os.path.isabs(place.container.path):
                container = place.container._replace(path=prefix + place.container.path)
                place = place._replace(container=container)
            yield found._replace(path=prefix + found.path, place=place, split=split or found.split, key=None)
        names |= set(own.class_names or ())
        facts.splits += [name for name in own.splits if name not in facts.splits]
        facts.skipped += own.skipped
        facts.notices += own.notices
        facts.records += own.records
        facts.numbered = facts.numbered or own.numbered
    facts.class_names = sorted(names) or None
