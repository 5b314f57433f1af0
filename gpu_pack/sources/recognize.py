"""Of which kind a source is, by its first bytes, and by its name where these do not tell."""

from __future__ import annotations

import os

from gpu_pack.errors import SourceError
from gpu_pack.formats.classes import NAME as CLASSES
from gpu_pack.formats.manifest import NAME as MANIFEST
from gpu_pack.formats.rejects import NAME as REJECTS
from gpu_pack.recordio.framing import MAGIC_BYTES
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.tree import IMAGE_SUFFIXES, SYSTEM_NAMES, is_folder, suffix
from gpu_pack.stores.store import Store

#: Kinds of which several files make one set.
SETS = frozenset({"tar", "webdataset", "zip", "parquet", "rec"})
_HEAD_BYTES = 512


def recognize_file(store: Store, path: str, options: SourceOptions) -> str:
    """The kind of a file.

    Raises:
        SourceError: it cannot be read, or is of no kind that is packed.
    """
    if options.source_format != "auto":
        return options.source_format
    if suffix(path) == "lst" or options.list_format != "auto":
        return "list"
    with store.open(path) as file:
        head = file.read_at(0, _HEAD_BYTES)
    if kind := _kind(path, head):
        return kind
    where = os.path.join(store.root, path)
    raise SourceError(
        f"{where}: neither a folder nor a .lst file; --list-format mxnet, csv or aligned reads a list of any name"
    )


def recognize_folder(store: Store, options: SourceOptions) -> tuple[str, list[str]]:
    """The kind of what is directly in a folder, with the names of its files: ``folder`` unless all are of one kind."""
    if options.source_format == "folder":
        return "folder", []
    items = store.list("")
    names = [item.name for item in items if not is_folder(item)]
    wanted = [name for name in names if name.lower() not in SYSTEM_NAMES and not name.startswith(".")]
    kinds = {name: _SUFFIXES.get(_ending(name)) for name in wanted}
    if "rec" in kinds.values():  # what lies beside records is about them, and class folders are not
        if any(is_folder(item) and not item.name.startswith(".") for item in items):
            return "folder", []
        kinds = {name: kind for name, kind in kinds.items() if name not in _BESIDE and suffix(name) not in _BESIDE}
    found = {kind for kind in kinds.values() if kind is not None}
    if len(found) != 1 or any(suffix(name) in IMAGE_SUFFIXES for name in wanted):
        return "folder", []
    shards = [name for name, kind in kinds.items() if kind is not None]
    return recognize_file(store, shards[0], options), shards


def _kind(path: str, head: bytes) -> str | None:
    """By the first bytes, then by the name."""
    for offset, magic, kind in _MAGICS:
        if head.startswith(magic, offset):
            return kind
    return _SUFFIXES.get(_ending(path))


def _ending(name: str) -> str:
    """The suffix; both of them for ``.tar.gz`` and its kind."""
    parts = name.lower().rsplit(".", 2)
    return "tar." + parts[2] if len(parts) == 3 and parts[1] == "tar" else parts[-1]


#: Offset, bytes and kind.
_MAGICS: list[tuple[int, bytes, str]] = [(0, MAGIC_BYTES, "rec")]
#: Kinds by suffix, where the first bytes do not tell.
_SUFFIXES: dict[str, str] = {"rec": "rec"}
#: Names and suffixes of the files beside records.
_BESIDE = frozenset({"idx", "lst", CLASSES, MANIFEST, REJECTS, "sagemaker.json"})
