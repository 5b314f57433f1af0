"""The .lst format: ``key<TAB>label[<TAB>label...]<TAB>path``, one image a line; parse and write.

Two readers: a strict one for whatever gpu-pack packs itself, and im2rec.py's (MXNet 1.9.1), which reports a bad line
and goes on. Two writers differ in how they spell labels: ``%f`` is im2rec 1.9.1's (``8.000000``), ``shortest`` the bare
form (``8``, ``0.5``), which loses nothing and which every reader of .lst files parses as well.
"""

from __future__ import annotations

import functools
import math
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, TextIO

from gpu_pack.errors import ListError, SourceError
from gpu_pack.recordio.framing import header_carries_magic
from gpu_pack.types import Entry

LabelFormat = Literal["%f", "shortest"]

#: Up to here float32 holds every whole number.
_EXACT = float(1 << 24)
#: From here on a key may put a magic number into the record's header.
_SAFE_KEYS = 0xCED7230A
_MAX_KEY = (1 << 64) - 1
#: A line is longer only where the file is no list at all; reading stops there instead of filling the memory.
_MAX_LINE = 1 << 24


def read_list(path: str | os.PathLike[str], *, unique: bool = False) -> Iterator[Entry]:
    """The entries of a .lst file, in its order: UTF-8 with or without a byte order mark; blank lines are passed over.

    Args:
        path: of the file.
        unique: refuse a key that an earlier line has. Costs a bit for each key under 2^26 and about 100 bytes for each
            larger one.

    Raises:
        ListError: a line that cannot be used, as ``path:line: what is wrong``.
        SourceError: the file cannot be read.
    """
    return (entry for _, entry in read_numbered(path, unique=unique))


def read_numbered(path: str | os.PathLike[str], *, unique: bool = False) -> Iterator[tuple[int, Entry]]:
    """`read_list` with each entry's line number, from 1."""
    name = os.fspath(path)
    keys = _Keys()
    for number, line in enumerate(_lines(name), 1):
        if line.isspace():
            continue
        entry = parse_line(line, name, number)
        if unique and not keys.add(entry.key):
            raise ListError(f"{name}:{number}: key {entry.key} stands on an earlier line already; keys must differ")
        yield number, entry


def parse_line(line: str, path: str, number: int) -> Entry:
    """One line as an entry; blanks around the fields do not count, as for im2rec.

    Args:
        line: the text, with or without its line end.
        path, number: for messages, which begin with ``path:number:``.

    Raises:
        ListError: fewer than three fields; a key that is no whole number from 0 to 2^64-1 or that readers of records
            would stumble over; a label that is not finite or does not fit float32; a name that is empty or not UTF-8.
    """
    fields = line.strip().split("\t")
    try:
        if len(fields) < 3:
            raise ValueError(_too_few(fields))
        name = fields[-1].strip()
        key = _key(fields[0].strip())
        labels = (_label(fields[1]),) if len(fields) == 3 else tuple(map(_label, fields[1:-1]))
        if key >= _SAFE_KEYS:
            _check_header(key)
        if not name.isascii() or "\0" in name:
            _check_name(name)
    except ValueError as error:
        raise ListError(f"{path}:{number}: {error}") from None
    return Entry(key, labels, name)


def read_list_im2rec(path: str | os.PathLike[str], report: Callable[[str], None]) -> Iterator[Entry]:
    """The entries as im2rec.py 1.9.1 reads them: Python's ``int`` and ``float`` decide, bad lines go to ``report``.

    Keys may be negative or too large, labels infinite or NaN: packing refuses such an entry, one by one.

    Raises:
        SourceError: the file cannot be read.
    """
    for line in _lines(os.fspath(path), "utf-8"):
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


def write_list(
    target: str | os.PathLike[str] | TextIO, entries: Iterable[Entry], label_format: LabelFormat = "shortest"
) -> None:
    r"""Write entries as .lst lines, UTF-8 with ``\n`` at each line's end.

    Args:
        target: a path, which is overwritten, or an open text file.
        entries: names must be `nameable_error`.
        label_format: see the module.

    Raises:
        ListError: a name that no line can carry.
        OSError: the file cannot be written.
    """
    if isinstance(target, (str, os.PathLike)):
        with Path(target).open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(_format(entries, label_format))
    else:
        target.writelines(_format(entries, label_format))


@functools.lru_cache(4096)
def format_label(value: float) -> str:
    """The shortest text that reads back as the same number: ``8``, ``0.5``, ``1e+20``."""
    return str(int(value)) if -1e16 < value < 1e16 and value == int(value) else repr(value)


def nameable_error(path: str) -> str | None:
    """Why no .lst line can carry this name, or None where one can."""
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


def _lines(path: str, encoding: str = "utf-8-sig") -> Iterator[str]:
    """Lines with any line end; bytes that are not UTF-8 come as surrogates, which no valid text holds."""
    try:
        with Path(path).open(encoding=encoding, errors="surrogateescape") as file:
            number = 0
            while line := file.readline(_MAX_LINE):
                number += 1
                if len(line) == _MAX_LINE:
                    raise ListError(f"{path}:{number}: the line has over {_MAX_LINE} characters; this is no .lst file")
                yield line
    except OSError as error:
        raise SourceError(f"{path}: the list cannot be read: {error.strerror or error}") from error


def _format(entries: Iterable[Entry], label_format: LabelFormat) -> Iterator[str]:
    spell: Callable[[float], str] = format_label if label_format == "shortest" else "{:f}".format
    for key, labels, path, _ in entries:
        if reason := nameable_error(path):
            raise ListError(f"{path!r} cannot stand in a .lst file: {reason}; rename it")
        text = spell(labels[0]) if len(labels) == 1 else "\t".join(map(spell, labels))
        yield f"{key}\t{text}\t{path}\n"


def _key(text: str) -> int:
    if not (text.isdecimal() and text.isascii() and len(text) < 100):
        raise ValueError(f"key {_short(text)} is no whole number from 0 on; a line is key<TAB>label<TAB>path")
    key = int(text)
    if key > _MAX_KEY:
        raise ValueError(f"key {key} is larger than 2^64-1, and a record's id has 64 bits")
    return key


def _label(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"label {_short(text)} is no number") from None
    if "_" in text or not text.isascii():  # Python's float reads 1_000, other readers of the list do not
        raise ValueError(f"label {_short(text)} is no number that every reader of .lst files understands")
    if not -_EXACT <= value <= _EXACT:
        _check_label(text, value)
    return value


def _check_label(text: str, value: float) -> None:
    """For labels that are large, infinite or not a number."""
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
        raise ValueError(f"label {_short(text)} has the bits of RecordIO's magic number, which readers stumble over")


def _check_header(key: int) -> None:
    if header_carries_magic(key):
        raise ValueError(
            f"key {key} puts RecordIO's magic number into the record's header, which readers take for a damaged "
            "record; use another key"
        )


def _check_name(name: str) -> None:
    if reason := nameable_error(name):
        raise ValueError(f"the path {name!r} cannot be used: {reason}")


def _too_few(fields: list[str]) -> str:
    hint = "" if len(fields) > 1 or len(fields[0].split()) < 3 else "; fields are separated by tabs, not by blanks"
    return f"{len(fields)} field{'s' * (len(fields) > 1)}, and a line needs key<TAB>label<TAB>path{hint}"


def _short(text: str) -> str:
    return ascii(text if len(text) <= 40 else text[:37] + "...")


class _Keys:
    """Which keys were there: a bit each while they are small, as positions in a list are, else a set."""

    _DENSE = 1 << 26

    def __init__(self) -> None:
        self._bits = bytearray()
        self._large: set[int] = set()

    def add(self, key: int) -> bool:
        """Whether ``key`` is new; it is remembered."""
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
