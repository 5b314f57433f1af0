"""Index: rebuild the .idx of a .rec from its records.

An .idx is published only if no key comes twice in it and it leads to every record that can be read.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpu_pack.errors import OutputExistsError, UsageError, told
from gpu_pack.formats.foreign import name_foreign
from gpu_pack.formats.record_keys import NO_KEYS, metadata_notice, repeated_rows
from gpu_pack.formats.salvage_scan import OVERLONG, Damage, salvage_scan
from gpu_pack.recordio.index import format_index
from gpu_pack.stores.address import StoreOptions
from gpu_pack.stores.data_path import DataPath, PathLike, data_path, write_file
from gpu_pack.tools.faults import Fault, Faults, ToolReport, choose_options
from gpu_pack.tools.keys_beside import index_beside
from gpu_pack.tools.locate import Target, as_paths, locate
from gpu_pack.tools.rec_file import RecFile


@dataclass(frozen=True)
class IndexOptions:
    """How to number the records.

    Attributes:
        rekey: 0, 1, 2, ... in the file's order, as rec2idx does; otherwise records keep the keys of an .idx that is
            there, but in a dataset of `create`, and others take the ids in their headers.
        overwrite: replace an existing .idx.
        output: where the .idx goes, a path or an address; None for beside the .rec.
    """

    rekey: bool = False
    overwrite: bool = False
    output: PathLike | None = None


@dataclass
class Indexed(ToolReport):
    """What became of one index.

    Attributes:
        rec, idx: paths.
        written: whether the .idx was written; otherwise whatever was there before stays.
        records: whole records found, each of which has a line in a written .idx.
        metadata: those of them without pictures.
        notes, warnings: code, message, count, example.
        faults: damage in the .rec, and why no .idx was written.
    """

    rec: str
    idx: str
    written: bool = False
    records: int = 0
    metadata: int = 0
    notes: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[dict[str, Any]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    fault_count: int = 0


def index(
    paths: PathLike | Iterable[PathLike],
    *,
    rekey: bool = False,
    overwrite: bool = False,
    combined: str | Path | None = None,
    output: PathLike | None = None,
    options: IndexOptions | None = None,
    endpoint_url: str | None = None,
    anonymous: bool = False,
) -> list[Indexed]:
    """Write NAME.idx beside each NAME.rec, in one step each.

    Args:
        paths: one .rec file or several, by paths or addresses.
        rekey, overwrite, output: see `IndexOptions`; or give ``options``.
        combined: write this one .idx of all files instead, which then lie on this machine; see
            `gpu_pack.tools.combined_index`.
        endpoint_url, anonymous: see `gpu_pack.stores.address.StoreOptions`.

    Raises:
        UsageError: a path that does not end in .rec, or ``output`` for several.
        OutputExistsError: an .idx exists and ``overwrite`` is not set; then none is written.
        SourceError, OutputError: a file cannot be read or written.
    """
    options = choose_options(options, IndexOptions(rekey, overwrite, output))
    store = StoreOptions(endpoint_url, anonymous)
    found = as_paths(paths, store)
    if combined is not None:
        return _combine(found, combined, options)
    if options.output is not None and len(found) != 1:
        raise UsageError(f"output={options.output} (--output) is for one .rec file, and {len(found)} are given")
    places = [_place(path, options, store) for path in found]
    return [_Indexer(_target(path), place, options).run() for path, place in zip(found, places, strict=True)]


def _combine(files: Sequence[DataPath], combined: str | Path, options: IndexOptions) -> list[Indexed]:
    from gpu_pack.tools.combined_index import combined_index

    if options.output is not None:
        raise UsageError(f"{told('combined', combined)} names the .idx already: leave output (--output) out")
    local = [path for path in files if isinstance(path, Path)]
    if len(local) < len(files):
        raise UsageError(f"{told('combined', combined)}: all .rec files have to lie on this machine, where DALI is")
    return combined_index(local, combined, rekey=options.rekey, overwrite=options.overwrite)


def _place(path: DataPath, options: IndexOptions, store: StoreOptions) -> DataPath:
    """Where the .idx goes."""
    if path.suffix != ".rec":
        raise UsageError(f"{path}: not a .rec file")
    place = path.with_suffix(".idx") if options.output is None else data_path(options.output, store)
    if not isinstance(place, Path) and place.is_web:
        raise UsageError(f"{place}: web servers take no files: name a place for the index with --output")
    if place.exists() and not options.overwrite:
        raise OutputExistsError(f"{place} is there already: replace it with --overwrite")
    return place


def _target(path: DataPath) -> Target:
    located = locate(path)
    return Target(path) if located.whole else located.targets[0]


class _Indexer:
    """Reads one .rec, and writes its .idx if that leads to every record that can be read."""

    def __init__(self, target: Target, place: DataPath, options: IndexOptions) -> None:
        self.target, self.place, self.options = target, place, options
        self.result = Indexed(str(target.rec), str(place))
        self.faults = Faults()
        self._offsets, self._ids = array("Q"), array("Q")
        self._nameless: set[int] = set()  # rows without an id
        self._metadata: list[int] = []  # rows
        self._damaged = self._refused = False

    def run(self) -> Indexed:
        """Read, check and write."""
        with RecFile(self.target.rec, whole=True) as file:
            self._read(file)
        keys = self._keys()
        self.result.records, self.result.metadata = len(self._offsets), len(self._metadata)
        if self._metadata:
            row = self._metadata[0]
            self.result.set_notices([metadata_notice(len(self._metadata), keys[row], self.target.rec)])
        if not self._refused and not self._keeps_old():
            write_file(self.place, format_index(keys, self._offsets))
            self.result.written = True
        self.result.set_faults(self.faults)
        return self.result

    def _read(self, file: RecFile) -> None:
        for found in salvage_scan(file, payloads=True, any_record=True):
            if isinstance(found, Damage):
                self._add_damage(found, file.size)
                continue
            if not self._offsets and not found.is_image and (name := name_foreign(file.read_at, file.size)):
                self._refuse(name)
                return
            if found.overlong:
                self._damaged = True
                self.faults.add(self.target.rec, OVERLONG, found.offset)
            if not found.is_image:
                self._nameless.add(len(self._offsets))
            if found.is_metadata:
                self._metadata.append(len(self._offsets))
            self._offsets.append(found.offset)
            self._ids.append(found.info.key)
        if file.size and not self._offsets:
            self._refused = True

    def _add_damage(self, found: Damage, size: int) -> None:
        self._damaged = True
        self._refused |= found.kind != "damage"
        what = found.reason
        if found.kind == "damage":
            lost = f"the {min(found.end, size) - found.offset:,} bytes from there on are in no record that can be read"
            what += f"; {lost}: fetch the file again, or pack it anew"
        self.faults.add(self.target.rec, what, found.at)

    def _keys(self) -> array[int]:
        """Each record's key; a fault if one has none or not one of its own."""
        if self.options.rekey:
            return array("Q", range(len(self._offsets)))
        known = (index_beside(self.target) if self.target.manifest is None else None) or NO_KEYS
        named = set(known.offsets) if self._nameless else ()
        keys = array("Q", map(known.of, self._offsets, self._ids))
        rows = [row for row in self._nameless if self._offsets[row] not in named]
        rekey = f"`gpu-pack index --rekey{' --overwrite' if self.target.idx.exists() else ''}`"
        if self._refused:
            return keys
        if rows:
            at = self._offsets[min(rows)]
            self._refuse(f"{len(rows):,} records have no image header, and so no id; {rekey} numbers all records", at)
        elif repeated := repeated_rows(keys):
            at, key = self._offsets[repeated[0]], keys[repeated[0]]
            what = f"{len(repeated):,} records have the id of an earlier one, and readers would find only one of them"
            self._refuse(f"{what}; {rekey} numbers all records anew", at, key)
        return keys

    def _refuse(self, what: str, offset: int | None = None, key: int | None = None) -> None:
        self._refused = True
        self.faults.add(self.target.rec, what, offset, key)

    def _keeps_old(self) -> bool:
        """Whether the .rec is damaged, and the .idx that is there leads to all that can still be read."""
        if self.place != self.target.idx or not self._damaged or (old := index_beside(self.target)) is None:
            return False
        if not set(self._offsets).issubset(old.offsets):
            return False
        self.faults.add(self.target.idx, "it stays as it is: it leads to every whole record of the damaged .rec")
        return True
