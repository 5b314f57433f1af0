"""The keys of a .rec's records, from the .idx beside it or from the records themselves."""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Iterator
from pathlib import Path

from gpu_pack.errors import FormatError, SourceError
from gpu_pack.formats.record_keys import NO_KEYS, RecordKeys, by_headers, by_index, index_lines, reaches_on
from gpu_pack.formats.salvage_scan import FoundRecord, salvage_scan
from gpu_pack.stores.data_path import DataPath, lexists, read_places
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


def _stops_early(rec: DataPath, keys: RecordKeys) -> bool:
    """Whether records follow the last one of the .idx, as where files were joined."""
    with contextlib.suppress(OSError, SourceError), read_places(rec) as (read_at, size):  # told when it is read
        return reaches_on(read_at, keys.offsets[-1], size)
    return False


def index_beside(target: Target, faults: Faults | None = None) -> RecordKeys | None:
    """The keys of the .idx, or None if it is missing or cannot be right; ``faults`` as above."""
    if not lexists(target.idx) or (target.rec.is_file() and not target.rec.stat().st_size):
        return None
    with (faults or Faults()).collect(target.idx, "the records' ids are used for keys: "):
        if not target.idx.is_file():
            raise unreadable(target.idx, OSError("not a plain file"))
        return by_index(target.idx)
    return None


#: Of smaller records on average, an object store gives all bytes sooner than all headers.
WORTH_SKIPPING = 16 << 10
#: Part head, image header, and more than a hundred labels.
_HEAD_BYTES = 512


def heads(
    target: Target, keys: RecordKeys, size: int, length: int = _HEAD_BYTES, worth: int = WORTH_SKIPPING
) -> list[tuple[int, int]]:
    """Offset and length of what `RecFile.expect` should ask an object store for, where only headers are read.

    They are of the .idx, which may be wrong: nothing else depends on it. Empty where the file is local, where there is
    no .idx, or where reading everything is faster.

    Args:
        size: of the .rec, in bytes.
        length: of each head, in bytes.
        worth: bytes that a record has on average, if its head alone is to be read.
    """
    if isinstance(target.rec, Path):
        return []
    offsets = keys.offsets
    if not offsets and target.idx.exists():
        with contextlib.suppress(FormatError):
            offsets = array("Q", sorted(index_lines(target.idx)[1]))
    return [(offset, length) for offset in offsets] if len(offsets) * worth <= size else []


def _headers(rec: DataPath) -> Iterator[tuple[int, int]]:
    """Offset and id of each whole record; -1 for one that has none."""
    with RecFile(rec, whole=False) as file:
        for found in salvage_scan(file, payloads=False, any_record=True):
            if isinstance(found, FoundRecord):
                yield found.offset, found.info.key if found.is_image else -1
