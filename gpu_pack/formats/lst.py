"""The .lst format: ``key<TAB>label[<TAB>label...]<TAB>path``, one image a line.

`read_list` is strict, for `create`; `read_list_im2rec` reads as im2rec.py (MXNet 1.9.1), which reports a bad line and
continues. `format_list` writes labels in their shortest form (``8``, ``0.5``), which loses nothing and which every
reader parses; im2rec's lists have its ``8.000000``.
"""

from __future__ import annotations

import functools
import math
import os
import struct
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from pathlib import Path

from gpu_pack.errors import ListError, SourceError
from gpu_pack.recordio.framing import header_carries_magic
from gpu_pack.types import Entry

#: Lines that are joined at once.
_BATCH = 16_384
#: Up to here float32 holds every whole number.
_EXACT = float(1 << 24)
#: A record's header can hold a magic number from this key on.
_SAFE_KEYS = 0xCED7230A
_MAX_KEY = (1 << 64) - 1
#: Characters; bounds the memory that a file without line ends takes.
MAX_LINE = 1 << 24


def read_list(path: str | os.PathLike[str], *, unique: bool = False) -> Iterator[Entry]:
    """The entries of a .lst file; see `read_numbered`."""
    return (entry for _, entry in read_numbered(path, unique=unique))


def read_numbered(
    path: str | os.PathLike[str], *, unique: bool = False, max_line: int = MAX_LINE
) -> Iterator[tuple[int, Entry]]:
    """``(line number from 1, entry)`` of a .lst file in UTF-8, with or without byte order mark; skips blank lines.

    Args:
        path: of the file.
        unique: refuse repeated keys; takes a bit for each key under 2^28, and about 100 bytes for each larger one.
        max_line: characters that a line may have.

    Raises:
        ListError: a line that cannot be used, as ``path:line: what is wrong``.
        SourceError: the file cannot be read.
    """
    name = os.fspath(path)
    return parse_lines(enumerate(text_lines(name, max_line=max_line), 1), name, unique=unique)


def parse_lines(lines: Iterable[tuple[int, str]], name: str, *, unique: bool = False) -> Iterator[tuple[int, Entry]]:
    """``(number, entry)`` of numbered lines, without blank ones; ``name`` is the file's, for messages.

    Raises:
        ListError: see `read_numbered`.
    """
    keys = KeySet()
    for number, line in lines:
        if line.isspace():
            continue
        entry = parse_line(line, name, number)
        if unique and not keys.add(entry.key):
            raise ListError(f"{name}:{number}: key {entry.key} is on an earlier line already; keys must differ")
        yield number, entry


def parse_line(line: str, path: str, number: int) -> Entry:
    """One line as an entry; blanks around the fields do not count, as for im2rec.

    Args:
        line: the text, with or without its line end.
        path, number: for messages, which begin with ``path:number:``.

    Raises:
        ListError: fewer than three fields; a key that is no whole number from 0 to 2^64-1; a label that is not finite
            or does not fit float32; either one with the magic number's bits; a name that is empty or not UTF-8.
    """
    fields = line.strip().split("\t")
    try:
        if len(fields) < 3:
            raise ValueError(_too_few(fields))
        name = fields[-1].strip()
        key = _key(fields[0].strip())
        labels = (read_label(fields[1]),) if len(fields) == 3 else tuple(map(read_label, fields[1:-1]))
        if key >= _SAFE_KEYS and header_carries_magic(key):
            raise ValueError(
                f"key {key} puts RecordIO's magic number into the record's header, which readers take for a damaged "
                "record; use another key"
            )
        if (not name.isascii() or "\0" in name) and (reason := unlistable_reason(name)):
            raise ValueError(f"the path {name!r} cannot be used: {reason}")
    except ValueError as error:
        raise ListError(f"{path}:{number}: {error}") from None
    return Entry(key, labels, name)


def read_list_im2rec(path: str | os.PathLike[str], report: Callable[[str], None]) -> Iterator[Entry]:
    """The entries as im2rec.py 1.9.1 reads them: with Python's ``int`` and ``float``; bad lines go to ``report``.

    Only a byte order mark does not count, which costs im2rec.py the first line.

    Keys may be negative or too large, labels infinite or NaN: no record can hold such an entry.

    Raises:
        SourceError: the file cannot be read.
    """
    for line in text_lines(os.fspath(path)):
        fields = [field.strip() for field in line.strip().split("\t")]
        if len(fields) < 3:
            report(f"lst should have at least has three parts, but only has {len(fields)} parts for {fields}")
            continue
        try:
            key = int(fields[0])
            labels = tuple(map(float, fields[1:-1]))
        except ValueError as error:
            report(f"Parsing lst met error for {fields}, detail: {error}")
            continue
        yield Entry(key, labels, fields[-1])


def format_list(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The text of a .lst in UTF-8, in pieces of many lines.

    Raises:
        ListError: a name that no line can hold; see `unlistable_reason`.
    """
    return format_rows(map(_row, entries))


def format_rows(rows: Iterable[tuple[int, str, str]]) -> Iterator[bytes]:
    """The text of a .lst in UTF-8 from (key, labels joined by tabs, path), which are not checked."""
    remaining = iter(rows)
    while batch := "".join([f"{key}\t{labels}\t{path}\n" for key, labels, path in islice(remaining, _BATCH)]):
        yield batch.encode()


@functools.lru_cache(4096)
def format_label(value: float) -> str:
    """The shortest text that reads back as the same number: ``8``, ``0.5``, ``1e+20``."""
    return str(int(value)) if -1e16 < value < 1e16 and value == int(value) else repr(value)


def read_label(text: str) -> float:
    """A label value.

    Raises:
        ValueError: no finite number, or one that no record can hold as it is.
    """
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"label {_short(text)} is no number") from None
    if "_" in text or not text.isascii():  # Python's float reads 1_000, other readers of the list do not
        raise ValueError(f"label {_short(text)} is no number that every reader of .lst files understands")
    check_label(value, text)
    return value


def unlistable_reason(path: str) -> str | None:
    """Why no line of a .lst can hold this name; None where one can."""
    if path.isascii() and path.isprintable() and path and path[0] != " " and path[-1] != " ":
        return None
    if not path:
        return "it is empty"
    for character, what in (("\t", "a tab"), ("\n", "a line feed"), ("\r", "a carriage return"), ("\0", "a NUL")):
        if character in path:
            return f"it has {what} in it"
    if path != path.strip():
        return "it begins or ends with a blank, which readers of .lst files cut off"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "it is not UTF-8"
    return None


def text_lines(path: str, encoding: str = "utf-8-sig", max_line: int = MAX_LINE) -> Generator[str, None, None]:
    """Lines with any line end; bytes that are not UTF-8 become surrogates, which no valid text holds.

    Raises:
        ListError: a line is too long, or the file is not text of that encoding.
        SourceError: the file cannot be read.
    """
    try:
        with Path(path).open(encoding=encoding, errors="surrogateescape") as file:
            number = 0
            while line := file.readline(max_line):
                number += 1
                if len(line) == max_line:
                    raise ListError(f"{path}:{number}: the line has over {max_line} characters; this is no .lst file")
                yield line
    except UnicodeDecodeError as error:
        raise ListError(f"{path}: this is no {encoding} text from byte {error.start} on: {error.reason}") from None
    except OSError as error:
        raise SourceError(f"{path}: the list cannot be read: {error.strerror or error}") from error


def _row(entry: Entry) -> tuple[int, str, str]:
    key, labels, path = entry[:3]
    if reason := unlistable_reason(path):
        raise ListError(f"{path!r} cannot stand in a .lst file: {reason}; rename it")
    return key, format_label(labels[0]) if len(labels) == 1 else "\t".join(map(format_label, labels)), path


def _key(text: str) -> int:
    if not (text.isdecimal() and text.isascii() and len(text) < 100):
        raise ValueError(f"key {_short(text)} is no whole number from 0 on; a line is key<TAB>label<TAB>path")
    key = int(text)
    if key > _MAX_KEY:
        raise ValueError(f"key {key} is larger than 2^64-1, and a record's id has 64 bits")
    return key


def check_label(value: float, text: str | None = None) -> None:
    """Refuse what float32 cannot hold, and the magic number's bits; ``text`` is how the label is written.

    Raises:
        ValueError: why no record can hold it.
    """
    if -_EXACT <= value <= _EXACT:  # not NaN
        return
    text = repr(value) if text is None else text
    if not math.isfinite(value):
        raise ValueError(f"label {_short(text)} is not finite")
    try:
        (held,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:
        raise ValueError(f"label {_short(text)} is too large for float32, which records hold") from None
    if value.is_integer() and held != value:
        raise ValueError(
            f"label {_short(text)} would become {held:.0f}: records hold labels as float32, exact only up to 16777216"
        )
    if header_carries_magic(0, (value,)):
        raise ValueError(f"label {_short(text)} has the bits of RecordIO's magic number, which readers take for damage")


def _too_few(fields: list[str]) -> str:
    hint = "" if len(fields) > 1 or len(fields[0].split()) < 3 else "; fields are separated by tabs, not by blanks"
    return f"{len(fields)} field{'s' * (len(fields) > 1)}, and a line needs key<TAB>label<TAB>path{hint}"


def _short(text: str) -> str:
    return ascii(text if len(text) <= 40 else text[:37] + "...")


class KeySet:
    """The keys so far: a bit for each small one, such as a position in a list, and a set of the others."""

    _DENSE = 1 << 28

    def __init__(self) -> None:
        self._bits = bytearray()
        self._large: set[int] = set()

    def add(self, key: int) -> bool:
        """Add a key; gives whether it is new."""
        if key >= self._DENSE:
            before = len(self._large)
            self._large.add(key)
            return len(self._large) > before
        place, bit = key >> 3, 1 << (key & 7)
        if place >= len(self._bits):
            self._bits.extend(bytes(place + 1 + (place >> 1) - len(self._bits)))
        if self._bits[place] & bit:
            return False
        self._bits[place] |= bit
        return True
