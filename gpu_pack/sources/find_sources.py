"""What a user names as sources: patterns become files, every one is recognised, and shards make one set."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from gpu_pack.errors import SourceError, UsageError, told
from gpu_pack.sources.braces import expand_braces
from gpu_pack.sources.open_source import SourceFiles
from gpu_pack.sources.recognize import SETS, recognize_file, recognize_folder
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.stores.local import LocalStore


class Located(NamedTuple):
    """A source of one kind."""

    kind: str
    files: SourceFiles


def locate(given: Sequence[str], options: SourceOptions) -> Iterator[Located]:
    """The sources that are meant. Neighbours of one kind of which several files make a set, such as shards, are one.

    Args:
        given: paths of files and folders, or patterns with ``*``, ``?``, ``[...]``, ``{000..123}`` or ``{a,b}``.
        options: ``source_format`` where the guess would be wrong.

    Raises:
        SourceError: there is no such file or folder, or it is of no known kind.
    """
    found = [each for source in given for name in _names(source) for each in _recognize(name, options)]
    for kind, group in groupby(found, lambda each: each[0]):
        paths = [path for _, path in group]
        if kind not in SETS:
            for path in paths:
                yield Located(kind, _one(path, kind))
        else:
            yield Located(kind, _set(paths))


def _names(source: str) -> list[str]:
    """The files and folders that a source stands for."""
    if os.path.lexists(source):
        return [source]
    expanded = expand_braces(source)
    found = [name for each in expanded for name in (sorted(glob.glob(each)) if glob.has_magic(each) else [each])]
    for name in found:
        if not os.path.lexists(name):
            raise SourceError(f"{name}: no such folder or file")
    if not found:
        what = "no file or folder fits this pattern" if set(source) & set("*?") else "no such folder or file"
        raise SourceError(f"{source}: {what}")
    return found


def _recognize(name: str, options: SourceOptions) -> Iterator[tuple[str, str]]:
    """Kinds with paths: one, or all the shards of a folder that holds nothing else."""
    if not os.path.isdir(name):
        yield recognize_file(LocalStore(os.path.dirname(name)), os.path.basename(name), options), name
        return
    kind, shards = recognize_folder(LocalStore(name), options)
    if kind == "folder" and options.source_format not in ("auto", "folder"):
        raise UsageError(f"{told('source_format', options.source_format)}: the folder {name} holds no such files")
    if kind == "folder":
        yield kind, name
    for shard in shards:
        yield kind, os.path.join(name, shard)


def _one(path: str, kind: str) -> SourceFiles:
    if kind == "folder":
        return SourceFiles(path, LocalStore(path), [""])
    return SourceFiles(path, LocalStore(os.path.dirname(path)), [os.path.basename(path)])


def _set(paths: list[str]) -> SourceFiles:
    """Files with the folder that all are in."""
    if len({os.path.isabs(path) for path in paths}) > 1:
        paths = [os.path.abspath(path) for path in paths]
    root = os.path.commonpath([os.path.dirname(path) for path in paths])
    inside = [os.path.relpath(path, root or ".").replace(os.sep, "/") for path in paths]
    source = paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    return SourceFiles(source, LocalStore(root), inside)
