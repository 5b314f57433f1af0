"""The .lst files that im2rec.py (MXNet 1.9.1) would pack, read as it reads them, into a listing."""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gpu_pack.console import say
from gpu_pack.errors import SourceError
from gpu_pack.formats import lst
from gpu_pack.im2rec.options import Options
from gpu_pack.recordio import header_carries_magic
from gpu_pack.sources.listing import Listing, RowBuffer
from gpu_pack.sources.splits import Shard
from gpu_pack.stores.local import LocalStore
from gpu_pack.types import Entry, Rejected

_MAX_KEY = (1 << 64) - 1
_MAGIC_KEYS, _MAGIC_LABEL = 0xCED7230A, -1804698880.0
_TOO_LARGE = 2.0**128 - 2.0**103  # from here on a number rounds to float32's infinity


@dataclass
class Lists:
    """What the .lst files of a prefix ask for.

    Attributes:
        listing: what can be packed, and as ``rejects`` what no record or name can stand for.
        shards: one of each list, named as its files are.
        refused: the rejects of each list, by its name.
        bad_lines: lines that im2rec.py skips.
    """

    listing: Listing
    shards: list[Shard] = field(default_factory=list)
    refused: dict[str, list[Rejected]] = field(default_factory=dict)
    bad_lines: int = 0


def find_lists(prefix: str) -> tuple[str, list[str]]:
    """The prefix's folder and every .lst in it whose path begins with the prefix, which may be the folder itself.

    Raises:
        SourceError: no such folder or list.
    """
    folder = prefix if os.path.isdir(prefix) else os.path.dirname(prefix)
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise SourceError(f"{folder}: no folder that can be listed: {error.strerror or error}") from error
    paths = [os.path.join(folder, name) for name in names if name.endswith(".lst")]
    found = [path for path in paths if path.startswith(prefix) and os.path.isfile(path)]
    if not found:
        others = f"; the lists there are {', '.join(map(os.path.basename, paths[:5]))}" if paths else ""
        raise SourceError(f"Did not find a list file with prefix {prefix}{others}: --list writes one")
    return folder, found


def read_lists(paths: list[str], options: Options) -> Lists:
    """Everything that the lists ask for, in their order.

    Raises:
        SourceError: a list cannot be read, there is no such root, or the lists have lines but none that is of use.
    """
    if not os.path.isdir(options.root):
        raise SourceError(f"{options.root}: {'not a' if os.path.exists(options.root) else 'no such'} folder")
    store = LocalStore(options.root)
    lists = Lists(Listing(store))
    buffer = RowBuffer(lists.listing)
    for path in paths:
        name = os.path.splitext(os.path.basename(path))[0]
        rows: array[int] = array("q")
        refused = lists.refused.setdefault(name, [])
        for entry in _told_of_keys(path, _entries(path, lists)):
            labels = _labels(entry, options)
            if reason := _obstacle(entry.key, labels, entry.path):
                plain = entry.path.encode("utf-8", "backslashreplace").decode()
                refused.append(Rejected(Entry(entry.key, labels, plain), "read", reason, "name"))
                continue
            rows.append(buffer.rows)
            lists.listing.labels.append(labels)
            buffer.add(entry.key, entry.path, store.stat(entry.path), None)
        lists.listing.rejects += refused
        lists.shards.append(Shard(name, name, rows))
    buffer.settle()
    if lists.bad_lines and not lists.listing.paths and not lists.listing.rejects:
        raise SourceError(f"{paths[0]}: no line of it can be used; a line is key<TAB>label<TAB>path")
    return lists


def _told_of_keys(path: str, entries: Iterable[Entry]) -> Iterator[Entry]:
    """The same entries; at the end, one line tells how many repeat the key of an earlier one."""
    keys, repeated, first = lst.KeySet(), 0, 0
    for entry in entries:
        if entry.key >= 0 and not keys.add(entry.key):
            repeated, first = repeated + 1, first if repeated else entry.key
        yield entry
    if repeated:
        say(
            f"{path}: lines that repeat an earlier key: {repeated:,}, the first of them {first}; by key, readers "
            "find only one of each"
        )


def _entries(path: str, lists: Lists) -> Iterator[Entry]:
    """Its usable lines; each other one is reported with its number."""
    number = 1  # of the line being read: each is either an entry or a report

    def report(message: str) -> None:
        nonlocal number
        say(f"{path}:{number}: skipped: {message}")
        number += 1
        lists.bad_lines += 1

    for entry in lst.read_list_im2rec(path, report):
        yield entry
        number += 1


def _labels(entry: Entry, options: Options) -> tuple[float, ...]:
    labels = entry.labels if options.pack_label else entry.labels[:1]
    if max(labels) < _TOO_LARGE and min(labels) > -_TOO_LARGE:
        return labels
    return tuple(math.copysign(math.inf, value) if abs(value) >= _TOO_LARGE else value for value in labels)


def _obstacle(key: int, labels: tuple[float, ...], path: str) -> str:
    """Why no record can hold this, in words; empty where one can."""
    if not 0 <= key <= _MAX_KEY:
        return f"key {key} is no record's id, which lies between 0 and 2^64-1"
    if (key >= _MAGIC_KEYS or _MAGIC_LABEL in labels) and header_carries_magic(key, labels):
        return "its key or label has the bits of RecordIO's magic number, which readers take for a damaged record"
    if not path.isascii() or "\0" in path:
        return f"the path cannot be used: {reason}" if (reason := lst.unlistable_reason(path)) else ""
    return ""
