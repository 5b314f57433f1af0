"""The central directory of a zip, entry by entry, in bounded memory."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from gpu_pack.errors import SourceError
from gpu_pack.sources.archives.tar_search import ReadAt

#: APPNOTE.TXT 4.3.16: disk, disk of the directory, entries on the disk, entries, size, offset, length of the comment.
_END = struct.Struct("<4sHHHHIIH")
#: 4.3.15: disk, offset of the zip64 end record, disks.
_LOCATOR = struct.Struct("<4sIQI")
#: 4.3.14, from the number of entries on.
_END64 = struct.Struct("<4sQHHIIQQQQ")
#: 4.3.12: made by, needed, flags, method, time, date, CRC, sizes, lengths of name, extra and comment, disk, ...
_ENTRY = struct.Struct("<4sHHHHHHIIIHHHHHII")
_LOCAL_BYTES = 30
_CHUNK_BYTES = 1 << 20
_FULL32 = 0xFFFFFFFF
_UNICODE, _ENCRYPTED = 0x800, 1
#: Systems whose programs write names in UTF-8, whatever the flag says: Unix and macOS.
_UTF8_HOSTS = frozenset({3, 19})
_HIGHEST = 1 << 62


class ZipEntry(NamedTuple):
    """A member, as the directory has it.

    Attributes:
        name: with ``/`` between folders; a folder's ends with one.
        method: of compression.
        packed, size: bytes in the archive, and of the file.
        offset: of its local header.
        crc: of the file.
        encrypted: whether it is.
        mode: of its file on Unix; 0 where it is not told.
        header: the least that its local header can have, in bytes.
        backslashes: whether these stood between its folders.
    """

    name: str
    method: int
    packed: int
    size: int
    offset: int
    crc: int
    encrypted: bool
    mode: int
    header: int
    backslashes: bool


class Directory(NamedTuple):
    """Where the central directory lies.

    Attributes:
        start, size: in the file, in bytes.
        before: bytes in front of the archive, which its offsets do not count.
    """

    start: int
    size: int
    before: int


def find_directory(name: str, read_at: ReadAt, size: int) -> Directory:
    """Where the central directory lies.

    Raises:
        SourceError: there is none, as in a file that was cut short, or the archive is one of several parts.
    """
    length = min(size, _END.size + 0xFFFF)
    tail = read_at(size - length, length)
    position = tail.rfind(b"PK\5\6")
    while position >= 0 and len(tail) - position < _END.size:
        position = tail.rfind(b"PK\5\6", 0, position)
    if position < 0:
        raise SourceError(f"{name}: its directory, which ends every zip, is missing: it was cut short, or is no zip")
    _, disk, _, _, _, bytes_, offset, _ = _END.unpack_from(tail, position)
    end = size - length + position
    if found := _find_end64(read_at, end):
        _, _, _, _, disk, _, _, _, bytes_, offset = found[1]
        end = found[0]
    if disk:
        raise SourceError(f"{name}: it is one part of a zip in several: join them with `zip -s 0`")
    start = end - bytes_
    if start < 0 or offset > start:
        raise SourceError(f"{name}: its end record names a directory that lies outside of it: it is damaged")
    return Directory(start, bytes_, start - offset)


def _find_end64(read_at: ReadAt, end: int) -> tuple[int, tuple[Any, ...]] | None:
    """The position and the fields of the zip64 end record, where there is one."""
    if end < _LOCATOR.size + _END64.size:
        return None
    signature, _, offset, _ = _LOCATOR.unpack(read_at(end - _LOCATOR.size, _LOCATOR.size))
    if signature != b"PK\6\7":
        return None
    for position in (offset, end - _LOCATOR.size - _END64.size):  # the second where something lies in front
        if position <= end - _LOCATOR.size - _END64.size:
            data = read_at(position, _END64.size)
            if data.startswith(b"PK\6\6"):
                return position, _END64.unpack(data)
    return None


def read_directory(name: str, read_at: ReadAt, directory: Directory) -> Iterator[ZipEntry]:
    """The entries, in the directory's order.

    Raises:
        SourceError: the directory is damaged.
    """
    data, position, offset = b"", 0, directory.start
    end = directory.start + directory.size
    number = 0
    while offset < end or position < len(data):
        number += 1
        if len(data) - position < _ENTRY.size + 3 * 0xFFFF and offset < end:
            more = read_at(offset, min(_CHUNK_BYTES, end - offset))
            data, position, offset = data[position:] + more, 0, offset + len(more)
        if data.startswith(b"PK\5\5", position):  # a digital signature
            return
        try:
            fields = _ENTRY.unpack_from(data, position)
            _, _, _, _, _, _, _, _, _, _, name_, extra, comment, *_ = fields
            begin = position + _ENTRY.size
            position = begin + name_ + extra + comment
            if fields[0] != b"PK\1\2" or position > len(data):
                raise ValueError
            entry = _parse(fields, data[begin : begin + name_], data[begin + name_ : position - comment])
        except (ValueError, struct.error):
            raise SourceError(f"{name}: its directory is damaged at entry {number:,}: `zip -FF` may mend it") from None
        yield entry._replace(offset=entry.offset + directory.before)


def _parse(fields: tuple[Any, ...], raw: bytes, extra: bytes) -> ZipEntry:
    made, flags, method, crc, packed, size = fields[1], fields[3], fields[4], fields[7], fields[8], fields[9]
    attributes, offset = fields[15], fields[16]
    text = ""
    for kind, body in _extras(extra):
        if kind == 1:
            size, packed, offset = _zip64(body, size, packed, offset)
        elif kind == 0x7075 and len(body) > 5 and int.from_bytes(body[1:5], "little") == zlib.crc32(raw):
            text = body[5:].decode("utf-8", "replace")
    if max(size, packed, offset) > _HIGHEST:
        raise ValueError
    host = made >> 8
    mode = attributes >> 16 if host in _UTF8_HOSTS else 0
    name = text or _decode(raw, bool(flags & _UNICODE), host)
    # APPNOTE.TXT 4.4.17.1 wants slashes. On Unix a backslash may be a letter of a name, yet hardly where it is the only
    # separator: PowerShell and .NET have written such zips, also ones that say they are made on Unix.
    backslashes = "\\" in name and (host not in _UTF8_HOSTS or "/" not in name)
    if backslashes:
        name = name.replace("\\", "/")
    header = _LOCAL_BYTES + len(raw)
    encrypted = bool(flags & _ENCRYPTED)
    return ZipEntry(name, method, packed, size, offset, crc, encrypted, mode, header, backslashes)


def _extras(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + 4 <= len(data):
        kind, length = struct.unpack_from("<HH", data, position)
        yield kind, data[position + 4 : position + 4 + length]
        position += 4 + length


def _zip64(body: bytes, *values: int) -> list[int]:
    """Size, packed size and offset: those that did not fit stand in the field, in this order.

    Raises:
        struct.error: one is missing.
    """
    position, found = 0, []
    for value in values:
        if value == _FULL32:
            (value,) = struct.unpack_from("<Q", body, position)
            position += 8
        found.append(value)
    return found


def _decode(raw: bytes, unicode: bool, host: int) -> str:
    """A name: in UTF-8 if it is flagged or made where all names are, else in CP437."""
    if unicode or host in _UTF8_HOSTS:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            if unicode:
                return raw.decode("utf-8", "surrogateescape")
    return raw.decode("cp437")
