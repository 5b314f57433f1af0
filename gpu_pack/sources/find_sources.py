"""What a user names as sources: patterns become files, every one is recognised, and shards make one set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from gpu_pack.errors import UsageError, told
from gpu_pack.sources import names
from gpu_pack.sources.open_source import SourceFiles
from gpu_pack.sources.recognize import SETS, recognize_file, recognize_folder
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.stores.open_store import open_store


class Located(NamedTuple):
    """A source of one kind."""

    kind: str
    files: SourceFiles


def locate(given: Sequence[str], options: SourceOptions) -> Iterator[Located]:
    """The sources that are meant. Neighbours of one kind of which several files make a set, such as shards, are one.

    Args:
        given: paths or addresses of files and folders, or patterns with ``*``, ``?``, ``[...]``, ``{000..123}`` or
            ``{a,b}``.
        options: ``source_format`` where the guess would be wrong, and how addresses are reached.

    Raises:
        SourceError: there is no such file or folder, or it is of no known kind.
    """
    store = options.store
    expanded = [name for source in given for name in names.expand(source, store)]
    found = [each for name in expanded for each in _recognize(name, options)]
    for (kind, _), group in groupby(found, lambda each: (each[0], names.bucket(each[1]))):
        members = [name for _, name in group]
        if kind == "folder":
            for name in members:
                yield Located(kind, SourceFiles(name, open_store(name, store), [""]))
            continue
        for files in [members] if kind in SETS else [[name] for name in members]:
            source = files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
            yield Located(kind, SourceFiles(source, *names.place(files, store)))


def _recognize(name: str, options: SourceOptions) -> Iterator[tuple[str, str]]:
    """Kinds with names: one, or all the shards of a folder that holds nothing else."""
    store = options.store
    if not names.is_folder(name, store):
        where, (path,) = names.place([name], store)
        yield recognize_file(where, path, options), name
        return
    kind, shards = recognize_folder(open_store(name, store), options)
    if kind == "folder" and options.source_format not in ("auto", "folder"):
        raise UsageError(f"{told('source_format', options.source_format)}: the folder {name} holds no such files")
    if kind == "folder":
        yield kind, name
    for shard in shards:
        yield kind, names.join(name, shard)
