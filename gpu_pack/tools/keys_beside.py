"""The keys of a .rec's records, from the .idx beside it or from the records themselves."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from gpu_pack.formats.record_keys import NO_KEYS, RecordKeys, by_headers, by_index, reaches_on
from gpu_pack.formats.salvage_scan import FoundRecord, salvage_scan
from gpu_pack.recordio.scanning import reader
from gpu_pack.tools.faults import Faults, unreadable
from gpu_pack.tools.locate import Target
from gpu_pack.tools.rec_file import RecFile


def keys_beside(target: Target, faults: Faults | None = None) -> RecordKeys:
    """The keys by `gpu_pack.formats.record_keys`; reads all headers where there is no .idx that can be right.

    Args:
        faults: gets what is wrong with the .idx.

    Raises:
        SourceError: the .rec cannot be read.
    """
    if target.manifest is not None:
        return NO_KEYS
    found = index_beside(target, faults)
    if found is not None and not _stops_early(target.rec, found):
        return found
    by_id = by_headers(_headers(target.rec), target.rec)
    return by_id if found is None or by_id.repeated is not None else found


def _stops_early(rec: Path, keys: RecordKeys) -> bool:
    """Whether records follow the last one of the .idx, as where files were joined."""
    with contextlib.suppress(OSError), rec.open("rb") as file:  # told when it is read
        return reaches_on(reader(file), keys.offsets[-1], file.seek(0, os.SEEK_END))
    return False


def index_beside(target: Target, faults: Faults | None = None) -> RecordKeys | None:
    """The keys of the .idx, or None if it is missing or cannot be right; ``faults`` as above."""
    if not os.path.lexists(target.idx) or (target.rec.is_file() and not target.rec.stat().st_size):
        return None
    with (faults or Faults()).collect(target.idx, "the records' ids are used for keys: "):
        if not target.idx.is_file():
            raise unreadable(target.idx, OSError("not a plain file"))
        return by_index(target.idx)
    return None


def _headers(rec: Path) -> Iterator[tuple[int, int]]:
    """Offset and id of each whole record; -1 for one that has none."""
    with RecFile(rec, whole=False) as file:
        for found in salvage_scan(file, payloads=False, any_record=True):
            if isinstance(found, FoundRecord):
                yield found.offset, found.info.key if found.is_image else -1
