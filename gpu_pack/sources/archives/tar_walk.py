"""The members of a tar, one after another, also behind damage.

Python's tarfile ends at a bad header as if the archive ended there. Here the search goes on at the next block that is a
header, and what was passed over is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from gpu_pack.sources.archives.compression import WINDOW_BYTES, ForwardFile
from gpu_pack.sources.archives.tar_header import (
    BLOCK,
    MOST_BYTES,
    MOST_EXTENDED_BYTES,
    SPARSE,
    TarHeader,
    padded,
    parse_header,
    parse_pax,
    text_of,
)
from gpu_pack.sources.archives.tar_search import ReadAt, find_header

#: Read with every header, since they tell what a member without suffix is.
HEAD_BYTES = 64
#: That tar programs fill with zeros behind the end mark, up to a multiple of it.
_RECORD_BYTES = 20 * BLOCK
_END_BYTES = 2 * BLOCK
#: Of zeros behind the last member, which end an archive however large its records are; files that downloads fill from
#: the front, and that were given their full size at first, have more.
_MOST_PADDING = 1 << 20
#: Told one by one; the last stands for all others.
_MOST_DAMAGE = 1000
_KINDS = {
    b"0": "file", b"\0": "file", b"7": "file", b"1": "hard link", b"2": "symbolic link", b"3": "device",
    b"4": "device", b"5": "folder", b"6": "named pipe", b"S": "sparse file", b"M": "part of a file",
    b"D": "list of a folder", b"V": "volume label",
}  # fmt: skip
#: Without data behind their headers, whatever their size says.
_NO_DATA = frozenset({"hard link", "symbolic link", "device", "folder", "named pipe", "volume label"})


class TarMember(NamedTuple):
    """A member.

    Attributes:
        name: as the archive has it.
        kind: ``file``, ``folder``, ``hard link``, ``symbolic link``, ``device`` and so on.
        offset, size: of its data, in bytes.
        link: the name that a link leads to.
        head: its first bytes, up to 64.
        fault: why its data cannot be read, and the code of the reject.
        astray: found behind a damaged header, so that it may be a member of a member.
    """

    name: str
    kind: str
    offset: int
    size: int
    link: str = ""
    head: bytes = b""
    fault: tuple[str, str] | None = None
    astray: bool = False


class Damage(NamedTuple):
    """What was passed over.

    Attributes:
        reason: what is wrong.
        offset, size: of the part of the archive that was passed over, in bytes.
    """

    reason: str
    offset: int
    size: int


@dataclass
class TarWalk:
    """Walks through a tar, in its order and without going back more than 2 MiB.

    Attributes:
        read_at: reads up to so many bytes at an offset.
        end: where the archive ends; None: where reading ends.
        start: where it begins.
        forward: what ``read_at`` reads, where that is a stream whose end tells what is cut off.
        damage: what was passed over so far.
    """

    read_at: ReadAt
    end: int | None = None
    start: int = 0
    forward: ForwardFile | None = None
    damage: list[Damage] = field(default_factory=list)
    _pax: dict[str, str] = field(default_factory=dict)
    _globals: dict[str, str] = field(default_factory=dict)
    _fault: str = ""
    _begin: int | None = 0

    def __iter__(self) -> Iterator[TarMember]:
        position: int | None = self.start
        self._begin = self.start  # of the one of concatenated archives; not known behind damage
        astray = False
        while position is not None:
            block = self._read(position, BLOCK + HEAD_BYTES)
            header = parse_header(block[:BLOCK]) if len(block) >= BLOCK else None
            if header is None:
                if len(block) < BLOCK:
                    self._note_end(position, len(block))
                    return
                ended = not any(block[:BLOCK])
                known = len(self.damage)
                position = self._behind_zeros(position) if ended else self._behind_damage(position)
                astray |= not ended or len(self.damage) > known
                continue
            data = position + BLOCK
            if header.type in b"xXgLKN":
                position = self._extend(header, data)
                continue
            member, stored = self._member(header, data, block[BLOCK:], astray)
            self._pax, self._fault = {}, ""
            yield member
            position = data + padded(stored)
            if self._beyond(data, stored):
                position = self._behind_damage(data, "the archive ends inside of a member")
                astray |= position is not None

    def _read(self, offset: int, length: int) -> bytes:
        if self.end is not None:
            length = min(length, max(0, self.end - offset))
        return self.read_at(offset, length)

    def _beyond(self, offset: int, size: int) -> bool:
        if self.end is None and self.forward is not None and 0 < size <= WINDOW_BYTES:  # to be gone back
            self.forward.read_at(offset + size - 1, 1)
            self.end = self.forward.size
        return offset + size > (MOST_BYTES if self.end is None else self.end)

    def _member(self, header: TarHeader, data: int, head: bytes, astray: bool) -> tuple[TarMember, int]:
        """A member, and how many bytes of data lie behind its header."""
        kind = _KINDS.get(header.type, "file")
        name, size, _, link = header
        if self._pax or self._globals:
            pax = {**self._globals, **self._pax}
            name, link, size = pax.get("path", name), pax.get("linkpath", link), _pax_size(pax, size)
            if SPARSE in pax:
                kind, name = "sparse file", pax.get("GNU.sparse.name", name)
        if kind == "file" and name.endswith("/"):
            kind = "folder"
        fault = (self._fault, "damaged") if self._fault else None
        if kind in _NO_DATA:
            return TarMember(name, kind, data, 0, link, b"", fault, astray), 0
        skipped = self._sparse_map(data) if header.type == b"S" else 0
        if self._beyond(data, skipped + size):
            fault = fault or ("the archive ends before it does", "truncated")
            size = min(size, MOST_BYTES)
        return TarMember(name, kind, data, size, link, head[:size], fault, astray), skipped + size

    def _sparse_map(self, data: int) -> int:
        """The bytes of a GNU sparse file's further headers."""
        position = data
        flag = self._read(data - BLOCK + 482, 1)
        while flag and flag != b"\0":
            flag = self._read(position + 504, 1)
            position += BLOCK
        return position - data

    def _extend(self, header: TarHeader, data: int) -> int | None:
        """Keep what a header tells of the next one; gives the next position."""
        if self._beyond(data, header.size):
            return self._behind_damage(data, "an extended header does not end inside of the archive")
        if header.size > MOST_EXTENDED_BYTES:
            self._fault = f"its extended header has {header.size:,} bytes"
            return data + padded(header.size)
        content = self._read(data, header.size)
        try:
            if header.type == b"g":
                self._globals.update(parse_pax(content))
            elif header.type in b"xX":
                self._pax.update(parse_pax(content))
            elif header.type in b"LK":
                self._pax["path" if header.type == b"L" else "linkpath"] = text_of(content)
        except ValueError as error:
            self._fault = f"its extended header is damaged: {error}"
        return data + padded(header.size)

    def _behind_zeros(self, position: int) -> int | None:
        """Where it goes on behind zeros: those of an end mark, where archives were concatenated, or of a hole."""
        found = find_header(self.read_at, position, self.end)
        self._pax, self._fault = {}, ""
        if found is None:
            self._note_padding(position)
            return None
        if not self._is_end(position, found):
            self._note(Damage("zeros lie between members", position, found - position))
            self._begin = None
        elif self._begin is not None:
            self._begin = found
        return found

    def _note_padding(self, position: int) -> None:
        end = self.forward.size if self.end is None and self.forward is not None else self.end
        if end is not None and end - position > _MOST_PADDING:
            self._note(Damage("only zeros follow, as in an unfinished download,", position, end - position))

    def _is_end(self, position: int, found: int) -> bool:
        """Whether an archive ends at a position as tar programs end one, and the next begins where one is found."""
        marked = position + _END_BYTES
        if self._begin is None:
            as_marked = marked <= found < marked + _RECORD_BYTES
        else:
            as_marked = found in (marked, marked + (self._begin - marked) % _RECORD_BYTES)
        return as_marked and not any(self._read(position, found - position))

    def _behind_damage(self, position: int, reason: str = "there is no valid header") -> int | None:
        start = position
        if self.forward is not None and self.end is not None:  # no more than that of a stream is kept
            start += max(0, self.end - WINDOW_BYTES - position) // BLOCK * BLOCK
        found = find_header(self.read_at, start, self.end)
        if self.end is None and self.forward is not None:
            self.end = self.forward.size
        self._pax, self._fault, self._begin = {}, "", None
        end = found if found is not None else self.end
        self._note(Damage(reason, position, end - position if end is not None else 0))
        return found

    def _note(self, damage: Damage) -> None:
        if len(self.damage) < _MOST_DAMAGE:
            self.damage.append(damage)
        else:
            self.damage[-1] = self.damage[-1]._replace(size=self.damage[-1].size + damage.size)

    def _note_end(self, position: int, left: int) -> None:
        """The archive ends without its mark: something may be cut off."""
        if position > self.start or left:
            self._note(Damage("it ends without an end mark, and may be cut short", position, left))


def _pax_size(pax: dict[str, str], size: int) -> int:
    """The size that an extended header tells, or else the header's own."""
    text = pax.get("size", "")
    if not (text.isascii() and text.isdigit()):
        return size
    return MOST_BYTES if len(text) > 18 else int(text)
