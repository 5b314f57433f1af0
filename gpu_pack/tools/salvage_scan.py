"""Reads every whole record of a .rec, past damaged places.

After a damaged place the scan resumes at the next magic number, at a multiple of four bytes, where a whole record
begins. The reads spent on false starts are bounded, so that a hostile file cannot cost more than linear time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gpu_pack.errors import FormatError
from gpu_pack.recordio.scanning import HeaderInfo, read_record, read_record_header
from gpu_pack.tools.rec_file import RecFile

#: Reads that one file may spend at places where no record begins after all.
MAX_WASTED = 1_000_000


class FoundRecord(NamedTuple):
    """A whole record.

    Attributes:
        info: its header; without labels if the record is no image's.
        payload: header, labels and image; empty if the scan reads no payloads.
    """

    info: HeaderInfo
    payload: bytes

    @property
    def offset(self) -> int:
        """Where the record begins, in bytes."""
        return self.info.offset

    @property
    def image(self) -> bytes:
        """The encoded image in the payload."""
        return self.payload[len(self.payload) - self.info.data_size :]


class Damage(NamedTuple):
    """Bytes from ``offset`` to before ``end`` that hold no whole image record."""

    offset: int
    end: int
    reason: str


def salvage_scan(
    file: RecFile, *, payloads: bool, any_record: bool = False, max_wasted: int = MAX_WASTED
) -> Iterator[FoundRecord | Damage]:
    """Every whole image record and the damage between them, in the file's order.

    Args:
        payloads: read the records' payloads too.
        any_record: include records that hold no image.
        max_wasted: see `MAX_WASTED`.

    Raises:
        SourceError: the file cannot be read.
    """
    offset = wasted = 0
    while offset < file.size:
        before = file.reads
        try:
            found = _record(file, offset, payloads, any_record)
        except FormatError as error:
            inner = error.offset is not None and error.offset != offset
            reason = f"{error.reason} (at byte {error.offset})" if inner else error.reason
            wasted += file.reads - before + 1
            end, wasted = _next_whole(file, offset, any_record, wasted, max_wasted)
            if wasted > max_wasted:
                yield Damage(offset, file.size, f"{reason}; after too many false starts, the rest was not read")
                return
            yield Damage(offset, end, reason)
            offset = end
            continue
        yield found
        offset += found.info.length


def _next_whole(file: RecFile, damaged: int, any_record: bool, wasted: int, max_wasted: int) -> tuple[int, int]:
    """Where the next whole record after ``damaged`` begins, or the file ends; and the reads wasted so far."""
    offset = damaged
    while wasted <= max_wasted:
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
    file.begin_record(offset)
    try:
        # Headers first, so that a false start that claims 400 MB is refused before they are read.
        info = read_record_header(file.read_at, offset, file.size)
    except FormatError:
        if not any_record:
            raise
        info = HeaderInfo(offset, read_record(file.read_at, offset, file.size).length, 0, 0, (), 0)
    return FoundRecord(info, read_record(file.read_at, offset, file.size).payload if payload else b"")
