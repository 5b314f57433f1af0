"""A tar's header blocks: ustar, GNU, pax, and those of old without a magic."""

from __future__ import annotations

import struct
from typing import NamedTuple

BLOCK = 512
_FIELDS = struct.Struct("100s24x12s12x8s1s100s6s2x80x155s12x")
#: Sizes above are nonsense, and fit into no column.
MOST_BYTES = 1 << 62
#: Of an extended header, or of a long name.
MOST_EXTENDED_BYTES = 1 << 20
SPARSE = "GNU.sparse"
_RECORDS = frozenset({b"path", b"linkpath", b"size", b"GNU.sparse.name"})


class TarHeader(NamedTuple):
    """One header block.

    Attributes:
        name: also of what is in its prefix.
        size: of what follows, in bytes.
        type: one byte.
        link: the name that a link leads to.
    """

    name: str
    size: int
    type: bytes
    link: str


def parse_header(block: bytes) -> TarHeader | None:
    """The header in 512 bytes; None where there is none: its checksum is wrong, or a number is no number."""
    name, size_field, check_field, type_, link, magic, prefix = _FIELDS.unpack(block)
    check = _octal(check_field)
    total = sum(block) - sum(check_field) + 8 * 32
    if check != total and (check is None or check != total - 256 * _signed(block)):
        return None
    size = _number(size_field)
    if size is None:
        return None
    text = _text(name)
    if magic == b"ustar\0" and prefix[0]:
        text = f"{_text(prefix)}/{text}"
    return TarHeader(text, size, type_, _text(link))


def padded(size: int) -> int:
    """With the zeros that fill the last block."""
    return -(-size // BLOCK) * BLOCK


def parse_pax(data: bytes) -> dict[str, str]:
    """The records of an extended header that matter here; `SPARSE` stands for those of sparse files.

    Raises:
        ValueError: it is damaged.
    """
    found = {}
    position = 0
    while position < len(data) and data[position]:
        blank = data.index(b" ", position, position + 10)
        end = position + int(data[position:blank])
        key, equals, value = data[blank + 1 : end - 1].partition(b"=")
        if not equals or end > len(data) or end <= blank or data[end - 1 : end] != b"\n":
            raise ValueError("a record of it has a wrong length")
        if key in _RECORDS:
            found[key.decode()] = _decode(value)
        if key.startswith(b"GNU.sparse."):
            found[SPARSE] = ""
        position = end
    return found


def text_of(data: bytes) -> str:
    """A long name: up to the first NUL."""
    return _text(data)


def _signed(block: bytes) -> int:
    """How many bytes are negative for the writers that took them as signed."""
    others = block[:148] + block[156:]
    return sum(byte > 127 for byte in others)


def _octal(field: bytes) -> int | None:
    digits = field.partition(b"\0")[0].strip()
    if digits.isdigit():
        try:
            return int(digits, 8)
        except ValueError:
            return None
    return None


def _number(field: bytes) -> int | None:
    """Octal digits, or a number in base 256 behind a set first bit."""
    if field[0] == 0x80:
        value = int.from_bytes(field[1:], "big")
        return value if value <= MOST_BYTES else None
    digits = field.partition(b"\0")[0].strip()
    return _octal(field) if digits else 0


def _text(field: bytes) -> str:
    return _decode(field.partition(b"\0")[0])


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
