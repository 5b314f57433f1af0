"""Every record of a .rec from its beginning to its end, over damage and all.

After something that is no whole record, the salvage_scan goes on at the next magic number at a multiple of four bytes from
which a whole record follows. Files made to waste time are given up: what a salvage_scan may spend on false starts is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gpu_pack.errors import FormatError
from gpu_pack.recordio.scanning import HeaderInfo, read_header, read_record
from gpu_pack.tools.rec_file import RecFile

#: Reads that may go into places where no record begins after all.
_MAX_WASTED = 1_000_000


class FoundRecord(NamedTuple):
    """A whole record.

    Attributes:
        offset, length: as in `gpu_pack.recordio.scanning.Record`.
        info: its header; None for a record that is none of an image, where those are taken too.
        payload: header, labels and image; None where the salvage_scan goes without.
    """

    offset: int
    length: int
    info: HeaderInfo | None
    payload: bytes | None


class Damage(NamedTuple):
    """Bytes from ``offset`` to before ``end`` in which no whole image record lies."""

    offset: int
    end: int
    reason: str


def salvage_scan(file: RecFile, *, payloads: bool, any_record: bool = False) -> Iterator[FoundRecord | Damage]:
    """Every whole image record, and what lies between them, in the file's order.

    Args:
        file: at whichever place.
        payloads: give each record's payload too.
        any_record: take records that are none of images as well.

    Raises:
        SourceError: the file cannot be read on.
    """
    offset = wasted = 0
    while offset < file.size:
        file.advance(offset)
        before = file.reads
        try:
            found = _record(file, offset, payloads, any_record)
        except FormatError as error:
            reason = _reason(error, offset)
            end, wasted = _resume(file, offset, any_record, wasted + file.reads - before + 1)
            if wasted > _MAX_WASTED:
                yield Damage(offset, file.size, f"{reason}; with so many false starts, the rest was not looked at")
                return
            yield Damage(offset, end, reason)
            offset = end
            continue
        yield found
        offset += found.length


def _resume(file: RecFile, damaged: int, any_record: bool, wasted: int) -> tuple[int, int]:
    """Where the next whole record begins after ``damaged``, or the file ends; and the reads spent so far."""
    offset = damaged
    while wasted <= _MAX_WASTED:
        offset = file.next_magic(offset + 4)
        if offset >= file.size:
            break
        before = file.reads
        try:
            _record(file, offset, False, any_record)
            break
        except FormatError:
            wasted += file.reads - before + 1
    return offset, wasted


def _record(file: RecFile, offset: int, payload: bool, any_record: bool) -> FoundRecord:
    file.begin_record()
    try:
        # Heads first: a false start that claims 400 MB must not be read to be refused.
        info = read_header(file.read_at, offset, file.size)
    except FormatError:
        if not any_record:
            raise
        record = read_record(file.read_at, offset, file.size)
        return FoundRecord(offset, record.length, None, record.payload if payload else None)
    data = read_record(file.read_at, offset, file.size).payload if payload else None
    return FoundRecord(offset, info.length, info, data)


def _reason(error: FormatError, offset: int) -> str:
    inner = error.offset is not None and error.offset != offset
    return f"{error.reason} (at byte {error.offset})" if inner else error.reason
