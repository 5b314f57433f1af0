"""Index: the .idx of a .rec, from what its records say."""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpu_pack.errors import OutputError, OutputExistsError, UsageError
from gpu_pack.stores.atomic_file import sync_file, unwritable
from gpu_pack.tools import check_sidecars
from gpu_pack.tools.check_records import Table
from gpu_pack.tools.faults import Fault, Faults
from gpu_pack.tools.rec_file import RecFile
from gpu_pack.tools.salvage_scan import Damage, salvage_scan

_BATCH = 65_536


@dataclass(frozen=True)
class IndexOptions:
    """How to number the records.

    Attributes:
        rekey: 0, 1, 2, ... in the file's order, as rec2idx does; otherwise by the ids in their headers.
        overwrite: replace an .idx that is there.
    """

    rekey: bool = False
    overwrite: bool = False


@dataclass
class Indexed:
    """One index that was written.

    Attributes:
        records: lines in it.
        faults: damage in the .rec, and ids that come twice. Whatever is whole is indexed nevertheless.
    """

    rec: str
    idx: str
    records: int = 0
    faults: list[Fault] = field(default_factory=list)
    fault_count: int = 0

    @property
    def ok(self) -> bool:
        return self.fault_count == 0

    def to_json(self) -> dict[str, Any]:
        """Plain values, for ``--json``."""
        return {"ok": self.ok, **self.__dict__, "faults": [fault.to_json() for fault in self.faults]}


def index(paths: Iterable[str | Path], options: IndexOptions | None = None) -> list[Indexed]:
    """Write NAME.idx beside each NAME.rec; it appears only when it is complete.

    Raises:
        UsageError: something that is no .rec.
        OutputExistsError: an .idx is there, and ``overwrite`` is not given; nothing is written then.
        SourceError, OutputError: unreadable, or not writable.
    """
    options = options or IndexOptions()
    records = [Path(path) for path in paths]
    for path in records:
        if path.suffix != ".rec":
            raise UsageError(f"{path}: not a .rec file")
        if path.with_suffix(".idx").exists() and not options.overwrite:
            raise OutputExistsError(f"{path.with_suffix('.idx')} is there already: replace it with --overwrite")
    return [_index(path, options) for path in records]


def _index(path: Path, options: IndexOptions) -> Indexed:
    faults = Faults()
    table = Table()
    with RecFile(path, whole=False) as file:
        for found in salvage_scan(file, payloads=False, any_record=options.rekey):
            if isinstance(found, Damage):
                faults.add(_damage(file, found))
                continue
            table.offsets.append(found.offset)
            table.keys.append(len(table.keys) if found.info is None or options.rekey else found.info.key)
    for row in check_sidecars.Places(table).repeated():
        what = "an earlier record has the same id, and readers find only one of them: --rekey numbers them anew"
        faults.add(Fault(str(path), what, table.offsets[row], table.keys[row]))
    target = path.with_suffix(".idx")
    _write(target, table.keys, table.offsets)
    return Indexed(str(path), str(target), len(table.keys), faults.sorted(), faults.count)


def _damage(file: RecFile, found: Damage) -> Fault:
    if found.end >= file.size:
        lost = f"the {found.end - found.offset} bytes from there on are in no record"
        cure = f"fetch the file again, or truncate it to {found.offset} bytes"
        return Fault(str(file.path), f"{found.reason}; {lost}: {cure}", found.offset)
    rest = f"the index goes on at byte {found.end}: fetch the file again, or pack it anew"
    return Fault(str(file.path), f"{found.reason}; {rest}", found.offset)


def _write(path: Path, keys: array[int], offsets: array[int]) -> None:
    """Under another name, synced, and then in one step under its own."""
    fresh = path.with_name(path.name + ".partial")
    try:
        with fresh.open("wb") as file:
            for begin in range(0, len(keys), _BATCH):
                rows = zip(keys[begin : begin + _BATCH], offsets[begin : begin + _BATCH], strict=True)
                file.write("".join(f"{key}\t{offset}\n" for key, offset in rows).encode())
            file.flush()
            sync_file(file.fileno())
        fresh.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise OutputError(str(unwritable(path, error)).replace("; it goes on from here", "")) from error
