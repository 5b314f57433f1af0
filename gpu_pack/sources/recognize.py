"""Of which kind a source is, by its first bytes, and by its name where these do not tell."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from gpu_pack.errors import SourceError
from gpu_pack.formats.classes import NAME as CLASSES
from gpu_pack.formats.manifest import NAME as MANIFEST
from gpu_pack.formats.rejects import NAME as REJECTS
from gpu_pack.recordio.framing import MAGIC_BYTES
from gpu_pack.sources.archives.kind_of_tar import kind_of_tar
from gpu_pack.sources.archives.member_names import TAR_SUFFIXES
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
        kind = _kind(path, file.read_at(0, _HEAD_BYTES))
        if kind in (None, "tar"):
            kind = kind_of_tar(path, file, options) or kind
    if kind is not None:
        return _parquet_kind(store, path, options) if kind == "parquet" else kind
    where = os.path.join(store.root, path)
    raise SourceError(
        f"{where}: no folder, list, table, archive, Parquet or .rec file: --source-format tells what it is, and "
        "--list-format mxnet, csv or aligned reads a list of any name"
    )


def recognize_folder(store: Store, options: SourceOptions) -> tuple[str, list[str]]:
    """The kind of what is directly in a folder, with its files' paths: ``folder`` unless all are of one kind.

    Of a folder that holds nothing but one called `data`, as Hugging Face's repositories do, what that one holds counts.
    """
    if options.source_format == "folder":
        return "folder", []
    items = [item for item in store.list("") if not item.name.startswith(".")]
    names = [item.name for item in items if not is_folder(item)]
    folders = [item.name for item in items if is_folder(item) and item.name.lower() not in SYSTEM_NAMES]
    shards = _shards(names, folders)
    if not shards and folders == ["data"] and not _images(names):
        inside = [f"data/{item.name}" for item in store.list("data") if not is_folder(item)]
        shards = [name for name in _shards(inside, []) if _SUFFIXES.get(_ending(name)) == "parquet"]
    kind = recognize_file(store, shards[0], options) if shards else "folder"
    return (kind, shards) if kind in SETS else ("folder", [])


def _shards(names: Iterable[str], folders: Sequence[str]) -> list[str]:
    """The files that make one set, if there are no images or files of another kind beside them."""
    names = [name for name in names if name.lower() not in SYSTEM_NAMES]
    kinds = {name: kind for name in names if (kind := _SUFFIXES.get(_ending(name))) in SETS}
    if folders and not _BESIDE_CLASSES.isdisjoint(kinds.values()):
        return []
    if "rec" in kinds.values():  # what lies beside records is about them
        kinds = {name: kind for name, kind in kinds.items() if name not in _BESIDE and suffix(name) not in _BESIDE}
    return list(kinds) if len(set(kinds.values())) == 1 and not _images(names) else []


def _images(names: Iterable[str]) -> bool:
    return any(suffix(name) in IMAGE_SUFFIXES for name in names)


def _parquet_kind(store: Store, path: str, options: SourceOptions) -> str:
    """Whether a Parquet file holds images, or paths of images as a table."""
    from gpu_pack.sources.parquet_source import is_image_parquet

    return "parquet" if is_image_parquet(store, path, options) else "table"


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
_MAGICS: list[tuple[int, bytes, str]] = [
    (0, MAGIC_BYTES, "rec"),
    (0, b"PAR1", "parquet"),
    (257, b"ustar", "tar"),
    (0, b"PK\3\4", "zip"),
    (0, b"PK\5\6", "zip"),
]
#: Kinds by suffix, where the first bytes do not tell.
_SUFFIXES: dict[str, str] = {
    "rec": "rec",
    "parquet": "parquet",
    **dict.fromkeys(TAR_SUFFIXES, "tar"),
    "zip": "zip",
    **dict.fromkeys(("csv", "tsv", "jsonl", "ndjson"), "table"),
}
#: Kinds of files that may have been left beside class folders.
_BESIDE_CLASSES = frozenset({"rec", "tar", "zip"})
#: Names and suffixes of the files beside records.
_BESIDE = frozenset({"idx", "lst", CLASSES, MANIFEST, REJECTS, "sagemaker.json"})
