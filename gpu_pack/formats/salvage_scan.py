"""Reads every whole record of a .rec, past damaged places.

After a damaged place the scan resumes at the next magic number, at a multiple of four bytes, where a whole record
begins. A record whose length reaches over the next one is followed by that one. The reads spent on false starts are
bounded, so that a hostile file cannot cost more than linear time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from gpu_pack.errors import FormatError
from gpu_pack.formats.foreign import name_foreign
from gpu_pack.recordio.framing import framed_size
from gpu_pack.recordio.scanning import HeaderInfo, read_record, read_record_header
from gpu_pack.recordio.searched_file import SearchedFile

#: Reads that one file may spend at places where no record begins after all.
MAX_WASTED = 1_000_000

#: The fault of a record that is ``overlong``.
OVERLONG = "it holds a magic number that should have split it, so its length may be damaged"


class FoundRecord(NamedTuple):
    """A whole record.

    Attributes:
        info: its header; without labels if the record is no image's.
        payload: header, labels and image; empty if the scan reads no payloads.
        overlong: the payload holds a magic number that should have split it, so the length may be damaged; without
            payloads, looked for only where no record follows.
    """

    info: HeaderInfo
    payload: bytes
    overlong: bool = False

    @property
    def offset(self) -> int:
        """Where the record begins, in bytes."""
        return self.info.offset

    @property
    def is_image(self) -> bool:
        """Whether it has an image record's header."""
        return bool(self.info.labels)

    @property
    def is_metadata(self) -> bool:
        """Whether it has an image record's header and no picture."""
        return self.is_image and not self.info.data_size

    @property
    def image(self) -> bytes:
        """The encoded image in the payload."""
        return self.payload[len(self.payload) - self.info.data_size :]


class Damage(NamedTuple):
    """Bytes from ``offset`` to before ``end`` that hold no whole image record.

    Attributes:
        kind: ``damage``; ``unread`` if the rest of the file was not read; ``foreign`` if the file is something else.
    """

    offset: int
    end: int
    reason: str
    kind: Literal["damage", "unread", "foreign"] = "damage"

    @property
    def at(self) -> int | None:
        """Where a fault about it lies, in bytes; None if it is about the whole file."""
        return None if self.kind == "foreign" else self.offset


def salvage_scan(
    file: SearchedFile, *, payloads: bool, any_record: bool = False, max_wasted: int = MAX_WASTED
) -> Iterator[FoundRecord | Damage]:
    """Every whole image record and the damage between them, in the file's order.

    Args:
        payloads: read the records' payloads too.
        any_record: include records that hold no image.
        max_wasted: see `MAX_WASTED`.

    Raises:
        SourceError: the file cannot be read.
    """
    offset = wasted = overlapping = 0
    held: FoundRecord | None = None  # without payloads, until another record begins where it ends
    while offset < file.size:
        before = file.reads
        try:
            found = _record(file, offset, payloads, any_record)
            if not payloads:
                if held is not None:
                    yield held
                held, offset = found, found.info.end
                continue
        except FormatError as error:
            if held is None:
                wasted += file.reads - before + 1
                end, wasted = _next_whole(file, offset, any_record, wasted, max_wasted)
                damage = _damage(file, offset, end, error, wasted > max_wasted)
                yield damage
                offset = end if damage.kind == "damage" else file.size
                continue
            # The length of the record before may be what is damaged.
            found, held = _record(file, held.offset, True, any_record)._replace(payload=b""), None
        yield found
        offset = found.info.end
        if found.overlong and overlapping < file.size:
            inner, wasted = _next_whole(file, found.offset, False, wasted, max_wasted)
            overlapping += max(0, offset - inner)
            offset = min(offset, inner)
    if held is not None:
        yield held


def _damage(file: SearchedFile, offset: int, end: int, error: FormatError, unread: bool) -> Damage:
    if offset == 0 and (unread or end >= file.size):
        file.begin_record(0)
        if (name := name_foreign(file.read_at, file.size)) is not None:
            return Damage(0, file.size, name, "foreign")
    inner = error.offset is not None and error.offset != offset
    reason = f"{error.reason} (at byte {error.offset})" if inner else error.reason
    if unread:
        return Damage(offset, file.size, f"{reason}; after too many false starts, the rest was not read", "unread")
    return Damage(offset, end, reason)


def _next_whole(file: SearchedFile, damaged: int, any_record: bool, wasted: int, max_wasted: int) -> tuple[int, int]:
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


def _record(file: SearchedFile, offset: int, payload: bool, any_record: bool) -> FoundRecord:
    file.begin_record(offset)
    try:
        # Headers first, so that a false start that claims 400 MB is refused before they are read.
        info = read_record_header(file.read_at, offset, file.size)
    except FormatError:
        if not any_record:
            raise
        info = HeaderInfo(offset, read_record(file.read_at, offset, file.size).length, 0, 0, (), 0)
    if not payload:
        return FoundRecord(info, b"")
    data = read_record(file.read_at, offset, file.size).payload
    return FoundRecord(info, data, framed_size(data) != info.length)
