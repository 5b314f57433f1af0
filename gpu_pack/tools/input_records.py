"""The .rec files that merge and divide read: in which split each is, its records' keys, and whole records from it."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import stat
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gpu_pack.errors import FormatError, SourceError, UsageError
from gpu_pack.formats.boxes import is_detection
from gpu_pack.formats.classes import NAME as CLASSES
from gpu_pack.formats.classes import read_classes
from gpu_pack.formats.record_keys import RecordKeys, by_headers
from gpu_pack.formats.salvage_scan import Damage, salvage_scan
from gpu_pack.recordio.scanning import HeaderInfo, header_of, read_record
from gpu_pack.sources.splits import split_name_fault
from gpu_pack.stores.data_path import DataPath
from gpu_pack.tools.keys_beside import index_beside, keys_beside
from gpu_pack.tools.locate import Located, Target, locate
from gpu_pack.tools.rec_file import RecFile
from gpu_pack.tools.record_table import RecordTable

#: Names of splits that a file's own name may say, alone or at its end, as im2rec's ``birds_train.rec``.
_SPLIT = re.compile(r"(?:.*[-_.])?(train|validation|valid|val|test)", re.IGNORECASE)
_SHARD = re.compile(r"(.+?)-(\d+)-of-(\d+)")
_ADVICE = "; `gpu-pack verify` lists all faults, and `gpu-pack extract` writes the pictures that are whole"


@dataclass(frozen=True)
class Input:
    """One .rec file.

    Attributes:
        target: the file.
        split: the split of its records in the output.
        classes: names by label; None where labels are numbers.
        size: in bytes.
    """

    target: Target
    split: str
    classes: tuple[str, ...] | None
    size: int

    @property
    def rec(self) -> DataPath:
        return self.target.rec


class WholeRecord(NamedTuple):
    """A record: its header, and header, labels and image joined from its parts."""

    info: HeaderInfo
    payload: bytes

    @property
    def image(self) -> bytes:
        """The encoded image; empty for a record that is metadata."""
        return self.payload[len(self.payload) - self.info.data_size :]


def find_inputs(paths: Iterable[DataPath], split: str | None = None, only: str | None = None) -> list[Input]:
    """The files of several paths or patterns, in order; each set's shards in their order.

    Args:
        split: of all records; None: by manifest or name.
        only: leave out files of other splits.

    Raises:
        SourceError: nothing there, a damaged manifest, a missing file or shard, or no file of the split ``only``.
        UsageError: a file that comes twice, or whose name cannot be its split's.
    """
    inputs: list[Input] = []
    for path in (found for given in paths for found in _matches(given)):
        located = locate(path)
        if located.damage is not None:
            raise SourceError(str(located.damage))
        if located.whole:
            _refuse_missing(located)
        for target in located.targets:
            classes, size = _classes(located, target), _size(target.rec)
            inputs.append(Input(target, split or _split_name(target, located.whole), classes, size))
    _refuse_twice(inputs)
    chosen = [each for each in _in_order(inputs) if only in (None, each.split)]
    if not chosen:
        known = ", ".join(sorted({each.split for each in inputs})[:10])
        raise SourceError(f"{inputs[0].rec.parent}: no split {only!r}; there are {known}")
    return chosen


def _size(rec: DataPath) -> int:
    try:
        found = rec.stat()
    except OSError:
        found = None
    if found is None or not stat.S_ISREG(found.st_mode):
        raise SourceError(f"{rec}: no such file, or not a plain one")
    return found.st_size


def _matches(path: DataPath) -> list[DataPath]:
    """The files that a pattern stands for, by name; any other path itself. In addresses, of the last name."""
    if not glob.has_magic(path.name if not isinstance(path, Path) else str(path)) or path.exists():
        return [path]
    if isinstance(path, Path):
        every: Iterable[DataPath] = [Path(name) for name in sorted(glob.glob(str(path)))]
    else:
        every = (item for item in path.parent.iterdir() if fnmatch.fnmatchcase(item.name, path.name))
    found = [item for item in every if item.suffix == ".rec"]
    if not found:
        raise SourceError(f"{path}: no .rec file matches")
    return found


def _shard(rec: DataPath) -> tuple[str, int, int] | None:
    """Name of the set, number and count of a shard, by its file's name."""
    found = _SHARD.fullmatch(rec.stem)
    return (found[1], int(found[2]), int(found[3])) if found else None


def _refuse_missing(located: Located) -> None:
    shards = [shard for target in located.targets if target.manifest is None and (shard := _shard(target.rec))]
    for (name, count), there in Counter((name, count) for name, _, count in shards).items():
        if there < count:
            raise SourceError(f"{located.folder}: only {there} of {count} shards of {name} are in it")


def _refuse_twice(inputs: Iterable[Input]) -> None:
    seen = Counter(map(_identity, inputs))
    if twice := next((each.rec for each in inputs if seen[_identity(each)] > 1), None):
        raise UsageError(f"{twice}: this file is named twice")


def _identity(each: Input) -> str:
    return os.path.realpath(each.rec) if isinstance(each.rec, Path) else str(each.rec)


def _in_order(inputs: Sequence[Input]) -> list[Input]:
    """Files that no manifest orders: shards follow one another where the first of their set is."""
    first: dict[object, int] = {}
    places = []
    for number, each in enumerate(inputs):
        shard = _shard(each.rec) if each.target.manifest is None else None
        group = (each.rec.parent, shard[0], shard[2]) if shard else number
        places.append((first.setdefault(group, number), shard[1] if shard else 0, number))
    return [inputs[number] for *_, number in sorted(places)]


def _split_name(target: Target, in_folder: bool) -> str:
    """By the manifest; else what the name says; else files that are named one by one are all of ``train``."""
    if target.split is not None:
        return target.split
    shard = _shard(target.rec)
    stem = shard[0] if shard else target.rec.stem
    if found := _SPLIT.fullmatch(stem):
        return found[1].lower()
    if not (in_folder or shard):
        return "train"
    if fault := split_name_fault(stem):
        raise UsageError(f"{target.rec}: its name would be its split's, and {fault}: name the split (--split train)")
    return stem


def _classes(located: Located, target: Target) -> tuple[str, ...] | None:
    """The names beside a file, if they are about it."""
    path = located.folder / CLASSES
    if target.manifest is not None:
        return read_classes(path) if target.manifest.classes is not None else None
    others = located.whole and located.manifest is not None
    return read_classes(path) if path.exists() and not others else None


def known_keys(each: Input) -> RecordKeys:
    """The key of every record, from the .idx, or from the records where there is none that can be right.

    Raises:
        FormatError: a damaged record.
        SourceError: the file cannot be read.
    """
    found = index_beside(each.target) if each.target.manifest is not None else keys_beside(each.target)
    if found is not None and found.offsets:
        return found
    offsets, ids = array("Q"), array("Q")

    def read() -> Iterator[tuple[int, int]]:
        for info in _headers(each.rec):
            offsets.append(info.offset)
            ids.append(info.key)
            yield info.offset, info.key

    by_id = by_headers(read(), each.rec)
    return by_id if by_id.repeated is not None else RecordKeys(offsets, ids)


class TableRead(NamedTuple):
    """What the headers of a file say.

    Attributes:
        table: a row for each record.
        keys: where the keys come from.
        sizes: of the records in the file, in bytes.
        detection: some records have a detection list for labels.
    """

    table: RecordTable
    keys: RecordKeys
    sizes: array[int]
    detection: bool


def read_table(each: Input) -> TableRead:
    """Read all headers in one pass.

    Raises:
        FormatError, SourceError: as `known_keys`.
    """
    keys, table, sizes = known_keys(each), RecordTable(), array("Q")
    detection = False
    with RecFile(each.rec, whole=False) as file:
        for found in salvage_scan(file, payloads=False):
            if isinstance(found, Damage):
                raise _damaged(each.rec, found)
            table.add(found, keys.of(found.offset, found.info.key))
            sizes.append(found.info.length)
            detection = detection or is_detection(found.info.labels)
    if keys.offsets != table.offsets:
        what = "its .idx does not lead to every record: `gpu-pack index --overwrite` rebuilds it"
        raise FormatError(what, str(each.rec))
    return TableRead(table, keys, sizes, detection)


def _headers(rec: DataPath) -> Iterator[HeaderInfo]:
    with RecFile(rec, whole=False) as file:
        for found in salvage_scan(file, payloads=False):
            if isinstance(found, Damage):
                raise _damaged(rec, found)
            yield found.info


def _damaged(rec: DataPath, found: Damage) -> FormatError:
    return FormatError(found.reason + ("" if found.kind == "foreign" else _ADVICE), str(rec), found.at)


def read_whole(file: RecFile, offset: int) -> WholeRecord:
    """The record at ``offset``.

    Raises:
        FormatError: there is no whole image record.
        SourceError: the file cannot be read.
    """
    file.begin_record(offset)
    path = str(file.path)
    try:
        record = read_record(file.read_at, offset, file.size, path)
        return WholeRecord(header_of(record, path), record.payload)
    except FormatError as error:
        raise FormatError(error.reason + _ADVICE, error.path, error.offset) from None


def all_records(file: RecFile) -> Iterator[WholeRecord]:
    """Every record, in the file's order.

    Raises:
        FormatError, SourceError: as `read_whole`.
    """
    offset = 0
    while offset < file.size:
        found = read_whole(file, offset)
        yield found
        offset = found.info.end
