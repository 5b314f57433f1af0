"""How a list is written, decided by its first lines.

A list that begins as `gpu_pack.formats.lst` has it is no dialect, and one look at its first line is all that it costs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from gpu_pack.errors import ListError, SourceError, told
from gpu_pack.formats import lst
from gpu_pack.sources.list_dialect import SEPARATORS, Dialect, is_number
from gpu_pack.sources.source_options import ListFormat
from gpu_pack.sources.text_encoding import text_encoding

#: Lines that are looked at.
_SAMPLE = 200
#: Separators by list format, in the order in which they are tried.
_TRIED = {"mxnet": "\t ", "csv": ",;", "aligned": "\t,; "}
#: What the words of a header line stand for.
_ROLES = {
    **dict.fromkeys(("", "key", "id", "idx", "index", "no", "nr", "number"), "key"),
    **dict.fromkeys(("label", "labels", "class", "class_id", "target", "category", "identity"), "label"),
    **dict.fromkeys(("path", "file", "filename", "file_name", "filepath", "file_path"), "path"),
    **dict.fromkeys(("image", "image_path", "image_name", "img", "img_path", "name"), "path"),
    "aligned": "aligned",
}
_path_like = re.compile(r"[/\\]|\.\w{2,5}$").search

_Lines = Sequence[tuple[int, str]]


class _Reading(NamedTuple):
    """A dialect, how many lines fit it, the lines below its header, and the header's words."""

    dialect: Dialect
    fitting: int
    rows: _Lines
    header: list[str]


def find_dialect(path: str, asked: ListFormat) -> Dialect | None:
    """How a list is written; None for one that `gpu_pack.formats.lst` reads, or whose faults it names.

    Args:
        path: of the list.
        asked: what the user says of it; ``auto``: its first lines decide.

    Raises:
        ListError: it can be read in several ways, or in none.
        SourceError: it cannot be read.
    """
    encoding = _encoding(path)
    with closing(lst.text_lines(path, encoding)) as lines:
        numbered = ((number, line) for number, line in enumerate(lines, 1) if not line.isspace())
        first = next(numbered, None)
        if first is None or (asked in ("auto", "mxnet") and _fault(Dialect(), first[1]) is None):
            return _unless_plain(Dialect(encoding))
        sample = [first, *islice(numbered, _SAMPLE - 1)]
    best = _best(sample, encoding, asked)
    if best.fitting * 2 <= len(best.rows) or not best.rows:
        return _refuse(path, sample, encoding, asked)
    if asked == "auto" and (doubt := _doubt(best)):
        dialect = best.dialect
        raise ListError(f"{path}: {doubt}: --list-format {_format(dialect)} reads it as {dialect} all the same")
    return best.dialect


def _unless_plain(dialect: Dialect) -> Dialect | None:
    return None if dialect == Dialect() else dialect


def _best(sample: _Lines, encoding: str, asked: ListFormat) -> _Reading:
    """The reading that most lines fit; the first of those that are equal."""
    readings = [
        _read(sample, Dialect(encoding, separator, aligned))
        for name, separators in _TRIED.items()
        if asked in (name, "auto")
        for aligned in [name == "aligned"]
        for separator in separators
    ]
    return max(readings, key=lambda reading: reading.fitting)


def _read(sample: _Lines, dialect: Dialect) -> _Reading:
    """How lines read in a dialect, below comments and a header line."""
    comments = next((place for place, (_, line) in enumerate(sample) if line[0] != "#"), len(sample))
    rows, header = sample[comments:], sample[:comments][-1:]
    if rows and not dialect.fits(rows[0][1]) and _is_header(dialect.fields(rows[0][1])):
        rows, header = rows[1:], rows[:1]
    first = rows[0][0] if rows and header else 1
    quoted = any('"' in line for _, line in rows)
    words = [word.strip(" #").lower() for _, line in header for word in dialect.fields(line)]
    return _Reading(
        replace(dialect, first=first, quoted=quoted), sum(dialect.fits(line) for _, line in rows), rows, words
    )


def _is_header(fields: list[str]) -> bool:
    """Whether these are names of columns: neither numbers nor paths."""
    return len(fields) > 1 and not any(is_number(field) or _path_like(field) for field in fields)


def _doubt(reading: _Reading) -> str:
    """Why lines that can be read so may mean something else; empty where they cannot."""
    aligned, words = reading.dialect.aligned, reading.header
    roles = [_ROLES.get(word) for word in words]
    expected = ["aligned", "path", "label"] if aligned else ["key", *["label"] * (len(roles) - 2), "path"]
    if len(roles) > 2 and any(role not in (None, is_) for role, is_ in zip(roles, expected, strict=False)):
        return f"its header line says {', '.join(words)}"
    if aligned and any(reading.dialect.fields(line)[0] not in ("0", "1") for _, line in reading.rows):
        return "its lines are a whole number other than 0 and 1, a path and a number"
    return ""


def _refuse(path: str, sample: _Lines, encoding: str, asked: ListFormat) -> Dialect | None:
    """Raise for a list that cannot be read; None leaves that to `gpu_pack.formats.lst`, where it has tabs."""
    number, line = sample[0]
    possible = [Dialect(encoding, each) for each in SEPARATORS]
    found = max(possible, key=lambda each: min(len(each.fields(line)), 3))  # blanks may be a part of the path
    if asked == "auto" and found.separator == "\t":
        return _unless_plain(found)
    other = _best(sample, encoding, "auto")
    if asked != "auto" and other.fitting * 2 > len(other.rows):
        found_as = f"{other.dialect}, which --list-format {_format(other.dialect)} reads"
        raise ListError(f"{path}: {told('list_format', asked)} does not read this list: it has {found_as}")
    fields = f"{len(found.fields(line))} fields separated by {SEPARATORS[found.separator]}"
    raise ListError(
        f"{path}:{number}: {fields}: {_fault(found, line)}; --list-format {_format(found)} reads such lines as key, "
        "label, path, and --list-format aligned as aligned, path, label"
    )


def _fault(dialect: Dialect, line: str) -> str | None:
    """What is wrong with a line for `gpu_pack.formats.lst`; None where it is right."""
    try:
        lst.parse_line(line if dialect == Dialect() else dialect.row(dialect.fields(line), 0), "", 0)
    except ListError as error:
        return str(error).removeprefix(":0: ")
    return None


def _format(dialect: Dialect) -> str:
    return "aligned" if dialect.aligned else "csv" if dialect.separator in ",;" else "mxnet"


def _encoding(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise SourceError(f"{path}: the list cannot be read: {error.strerror or error}") from error
    return text_encoding(head)
