"""The .idx: a line ``key<TAB>offset`` for each record, the offset of its first magic number in bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from gpu_pack.errors import FormatError

#: Bytes; bounds the memory that a file without line ends takes.
_MAX_LINE = 1 << 16
#: Lines that are joined at once.
_BATCH = 65_536


def read_index(path: str | os.PathLike[str], key_type: Callable[[str], Any] = int) -> Iterator[tuple[Any, int]]:
    """``(key, offset in bytes)`` of each line of an .idx, in its order; blank lines are skipped.

    Raises:
        FormatError: a line that is not ``key<TAB>offset``.
        OSError: the file cannot be read.
    """
    with Path(path).open("rb") as file:
        yield from index_entries(file, os.fspath(path), key_type)


def index_entries(file: BinaryIO, path: str, key_type: Callable[[str], Any] = int) -> Iterator[tuple[Any, int]]:
    """See `read_index`; ``path`` is for messages."""
    begin = 0
    for number, line in enumerate(iter(lambda: file.readline(_MAX_LINE), b""), 1):
        try:
            fields = line.decode().strip().split("\t")
            entry = (key_type(fields[0]), _offset(fields[1])) if fields != [""] else None
        except (ValueError, TypeError, LookupError, ArithmeticError):
            message = f"line {number} of the index is not key<TAB>offset; `gpu-pack index --overwrite` rebuilds it"
            raise FormatError(message, path, begin) from None
        begin += len(line)
        if entry is not None:
            yield entry


def parse_index_line(line: bytes) -> tuple[int, int] | None:
    """``(key, offset)`` of a line as `format_index` writes it; None for anything else."""
    fields = line.strip().split(b"\t")
    if len(fields) != 2 or not all(field.isdigit() and len(field) <= 20 for field in fields):
        return None
    key, offset = int(fields[0]), int(fields[1])
    return (key, offset) if key < 1 << 64 and offset < 1 << 63 else None


def format_index(keys: Sequence[int], offsets: Sequence[int]) -> Iterator[bytes]:
    """The text of an .idx, in pieces of many lines, for keys that are integers."""
    for begin in range(0, len(keys), _BATCH):
        rows = zip(keys[begin : begin + _BATCH], offsets[begin : begin + _BATCH], strict=True)
        yield "".join([f"{key}\t{offset}\n" for key, offset in rows]).encode()


def index_line(key: object, offset: int) -> str:
    """One line, for a key of any type.

    Raises:
        FormatError: the key's text is empty, or has tabs, line ends or outer blanks.
    """
    text = str(key)
    if not text or text != text.strip() or any(character in text for character in "\t\r\n"):
        raise FormatError(f"key {key!r}: the index cannot hold it; keys have no tabs, line ends or outer blanks")
    return f"{text}\t{offset}\n"


def _offset(text: str) -> int:
    offset = int(text)
    if not 0 <= offset < 1 << 63:
        raise ValueError(text)
    return offset
