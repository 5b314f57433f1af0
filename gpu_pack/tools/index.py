"""Index: rebuild the .idx of a .rec from its records."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from gpu_pack.errors import OutputExistsError, UsageError
from gpu_pack.recordio.index import format_index
from gpu_pack.stores.atomic_file import write_atomically
from gpu_pack.tools.faults import Fault, Faults, ToolReport, choose_options
from gpu_pack.tools.locate import as_paths
from gpu_pack.tools.rec_file import RecFile
from gpu_pack.tools.record_table import KeyLookup
from gpu_pack.tools.salvage_scan import Damage, salvage_scan


@dataclass(frozen=True)
class IndexOptions:
    """How to number the records.

    Attributes:
        rekey: 0, 1, 2, ... in the file's order, as rec2idx does; otherwise by the ids in their headers.
        overwrite: replace an existing .idx.
    """

    rekey: bool = False
    overwrite: bool = False


@dataclass
class Indexed(ToolReport):
    """An index that was written.

    Attributes:
        rec, idx: paths.
        records: lines in the index.
        faults: damage in the .rec, and repeated ids. Every whole record is indexed nevertheless.
    """

    rec: str
    idx: str
    records: int = 0
    faults: list[Fault] = field(default_factory=list)
    fault_count: int = 0


def index(
    paths: str | Path | Iterable[str | Path],
    *,
    rekey: bool = False,
    overwrite: bool = False,
    options: IndexOptions | None = None,
) -> list[Indexed]:
    """Write NAME.idx beside each NAME.rec, in one step each.

    Args:
        paths: one .rec file or several.
        rekey, overwrite: see `IndexOptions`; or give ``options``.

    Raises:
        UsageError: a path that does not end in .rec.
        OutputExistsError: an .idx exists and ``overwrite`` is not set; then none is written.
        SourceError, OutputError: a file cannot be read or written.
    """
    options = choose_options(options, IndexOptions(rekey, overwrite))
    found = as_paths(paths)
    for path in found:
        if path.suffix != ".rec":
            raise UsageError(f"{path}: not a .rec file")
        if path.with_suffix(".idx").exists() and not options.overwrite:
            raise OutputExistsError(f"{path.with_suffix('.idx')} is there already: replace it with --overwrite")
    return [_index(path, options) for path in found]


def _index(path: Path, options: IndexOptions) -> Indexed:
    faults = Faults()
    keys, offsets = array("Q"), array("Q")
    with RecFile(path, whole=False) as file:
        for found in salvage_scan(file, payloads=False, any_record=options.rekey):
            if isinstance(found, Damage):
                faults.add(path, _damage(found, file.size), found.offset)
                continue
            keys.append(len(keys) if options.rekey else found.info.key)
            offsets.append(found.offset)
    for row in KeyLookup(keys).repeated():
        what = "an earlier record has the same id, and readers find only one of them: --rekey numbers them anew"
        faults.add(path, what, offsets[row], keys[row])
    idx = path.with_suffix(".idx")
    write_atomically(idx, format_index(keys, offsets))
    result = Indexed(str(path), str(idx), len(keys))
    result.set_faults(faults)
    return result


def _damage(found: Damage, size: int) -> str:
    if found.end >= size:
        lost = f"the {found.end - found.offset} bytes from there on are in no record"
        return f"{found.reason}; {lost}: fetch the file again, or truncate it to {found.offset} bytes"
    return f"{found.reason}; the index continues at byte {found.end}: fetch the file again, or pack it anew"
