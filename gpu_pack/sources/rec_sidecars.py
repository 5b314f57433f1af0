"""What lies beside .rec files: manifest, classes.txt, .idx and .lst. What cannot be used is noted and passed over."""

from __future__ import annotations

import os
import posixpath
import re
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from gpu_pack.errors import FormatError, SourceError
from gpu_pack.formats import lst
from gpu_pack.formats.classes import NAME as CLASSES
from gpu_pack.formats.classes import read_classes
from gpu_pack.formats.manifest import NAME as MANIFEST
from gpu_pack.formats.manifest import Manifest, read_manifest
from gpu_pack.formats.notices import Notice
from gpu_pack.formats.record_keys import RecordKeys, by_index
from gpu_pack.sources.rec_table import RecTable
from gpu_pack.sources.spool import Spool
from gpu_pack.stores.store import Store

_SHARD = re.compile(r"-(\d+)-of-(\d+)$")
#: im2rec's lists and their records end so.
_SPLIT = re.compile(r"(?:^|[-_.])(train|val|valid|validation|test)$", re.IGNORECASE)

_Read = TypeVar("_Read")


class RecSidecars:
    """The files beside those of a set.

    Args:
        store: where all lie.
        spool: for those that are not on this machine.

    Attributes:
        notices: about files that cannot be used.
    """

    def __init__(self, store: Store, spool: Spool) -> None:
        self._store, self._spool = store, spool
        self._manifests: dict[str, Manifest | None] = {}
        self._classes: dict[str, tuple[str, ...] | None] = {}
        self.notices: list[Notice] = []

    def manifest(self, rec: str) -> Manifest | None:
        """The manifest beside a .rec, if it names that."""
        folder, name = posixpath.split(rec)
        if folder not in self._manifests:
            self._manifests[folder] = self._read(posixpath.join(folder, MANIFEST), read_manifest)
        found = self._manifests[folder]
        return found if found is not None and name in found.files else None

    def classes(self, rec: str) -> tuple[str, ...] | None:
        """The names in the classes.txt beside a .rec."""
        folder = posixpath.dirname(rec)
        if folder not in self._classes:
            self._classes[folder] = self._read(posixpath.join(folder, CLASSES), read_classes)
        return self._classes[folder]

    def index(self, rec: str) -> RecordKeys | None:
        """The keys that the .idx beside a .rec gives; those of a published file are its records' ids."""
        if self.manifest(rec) is not None:
            return None
        return self._read(os.path.splitext(rec)[0] + ".idx", by_index)

    def paths(self, table: RecTable) -> list[str] | None:
        """The paths that the .lst beside a .rec gives its pictures; None where it is not this file's list."""
        return self._read(os.path.splitext(table.path)[0] + ".lst", lambda path: _listed_paths(path, table))

    def split(self, rec: str) -> str | None:
        """The name of a file's split, by the manifest or by the file's own name."""
        name = posixpath.basename(rec)
        if (manifest := self.manifest(rec)) is not None:
            return next((split for split, each in manifest.splits.items() if name in each.shards), None)
        found = _SPLIT.search(_SHARD.sub("", os.path.splitext(name)[0]))
        return found[1] if found else None

    def note(self, path: str, reason: str) -> None:
        """Note that a file is not used."""
        self.notices.append(Notice("beside-unused", 1, f"{path}: {reason}"))

    def note_classes(self, rec: str, reason: str) -> None:
        """Note that the classes.txt beside a .rec is not used."""
        self.note(posixpath.join(posixpath.dirname(rec), CLASSES), reason)

    def note_incomplete(self, tables: Sequence[RecTable]) -> None:
        """Note files that are shorter than published, and shards that are missing."""
        found = []
        shards: dict[str, tuple[int, set[str]]] = {}
        for table in tables:
            name, size = posixpath.basename(table.path), table.container.size
            manifest = self.manifest(table.path)
            if manifest is not None and (published := manifest.files[name].bytes) != size:
                found.append(f"{table.path} has {size:,} bytes, and the manifest says {published:,}")
            stem = os.path.splitext(table.path)[0]
            if numbered := _SHARD.search(stem):
                shards.setdefault(_SHARD.sub("", stem), (int(numbered[2]), set()))[1].add(numbered[1])
        for stem, (count, numbers) in shards.items():
            if len(numbers) < count:
                found.append(f"{len(numbers)} of {count} shards of {stem}")
        if found:
            self.notices.append(Notice("records-incomplete", len(found), found[0]))

    def _read(self, path: str, read: Callable[[Path], _Read | None]) -> _Read | None:
        """What ``read`` makes of a file; None where there is no such file, or none that can be used."""
        if self._store.stat(path).size < 0:
            return None
        local = self._spool.local_copy(self._store, path)
        try:
            return read(Path(local))
        except (FormatError, SourceError) as error:
            reason = error.reason if isinstance(error, FormatError) else str(error).removeprefix(f"{local}: ")
            self.note(path, reason)
            return None


def _listed_paths(path: Path, table: RecTable) -> list[str]:
    """The paths of a list, by row.

    Raises:
        SourceError: the list is malformed, or not that of these records.
    """
    rows = {key: row for row, key in enumerate(table.keys)}
    found = [""] * len(table.keys)
    for entry in lst.read_list(path, unique=True):
        row = rows.pop(entry.key, None)
        if row is None:
            continue
        if array("f", entry.labels[:1]) != array("f", table.labels[row][:1]):
            raise SourceError(f"{path}: its label for key {entry.key} is not the record's: it is another list")
        found[row] = entry.path
    if rows:
        raise SourceError(f"{path}: it lacks keys of the records, such as {next(iter(rows))}: it is another list")
    return found
