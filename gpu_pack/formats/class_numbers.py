"""Files that give numbers their names: lines, JSON, and meta.mat of ImageNet's devkit."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpu_pack.errors import SourceError
from gpu_pack.formats.bounded_json import bounded_json
from gpu_pack.formats.classes import as_text, read_small_file

_NUMBER_NAME = re.compile(r"(\d{1,15})[\s,:;]+(\S.*)")
_NAME_NUMBER = re.compile(r"([^\s,:;]+)[\s,:;]+(\d{1,15})(?:[\s,:;].*)?")
#: WordNet's id, which ImageNet's folders have, and words that explain it.
_SYNSET = re.compile(r"(n\d{8})[\s,:]+\S.*")
#: A row of a table, as against a name that begins with a number, such as ``1 dollar``.
_TABLE_ROW = re.compile(r"\d{1,15}\s*[,:;\t]\s*\S.*")
_NEGATIVE = re.compile(r"-\d{1,15}[\s,:;]+\S.*|[^\s,:;]+[\s,:;]+-\d{1,15}")


def read_class_numbers(path: Path) -> tuple[dict[int, str], bool]:
    """The names by number, and whether the numbers are places from 0.

    Text has one form throughout: ``NUMBER NAME``; ``NAME NUMBER`` with or without words behind; or a name a line,
    counted from 0. Of WordNet's ids with words behind, the id is the name. JSON is an object by number, whose values
    are names or lists that begin with one, or a list of names. meta.mat maps ILSVRC2012_ID to WNID.

    Raises:
        SourceError: the file cannot be read, is none of these, has a header or comments, or names two numbers the
            same.
    """
    data = read_small_file(path)
    if data[:128].startswith(b"MATLAB") or path.suffix == ".mat":
        return _unique(path, _from_matlab(path, data)), False
    text = as_text(path, data)
    if text.lstrip()[:1] in ("{", "["):
        return _from_json(path, data)
    return _from_text(path, text)


def _from_text(path: Path, text: str) -> tuple[dict[int, str], bool]:
    numbered = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not numbered:
        raise SourceError(f"{path}: no class names in it")
    _refuse_comments(path, numbered)
    lines = [line for _, line in numbered]
    for pattern, number, name in ((_NUMBER_NAME, 1, 2), (_NAME_NUMBER, 2, 1)):
        if all(matched := [pattern.fullmatch(line) for line in lines]):
            return _unique(path, [(int(each[number]), each[name]) for each in matched if each]), False
        if len(lines) > 2 and all(map(pattern.fullmatch, lines[1:])):
            raise SourceError(
                f"{path}:{numbered[0][0]}: {lines[0][:40]!r} has no number, as all lines below have: leave it out if "
                "it is a header, or give it its number"
            )
    _refuse_rows(path, numbered)
    if all(matched := [_SYNSET.fullmatch(line) for line in lines]):
        lines = [each[1] for each in matched if each]
    return _unique(path, list(enumerate(lines))), True


def _refuse_comments(path: Path, lines: Sequence[tuple[int, str]]) -> None:
    """Refuse what would count as a name and move the numbers of all below it."""
    for number, line in lines:
        if line.startswith("#"):
            raise SourceError(f"{path}:{number}: {line[:40]!r} is a comment, and every line is a name: leave it out")
        if _NEGATIVE.fullmatch(line):
            raise SourceError(f"{path}:{number}: {line[:40]!r} has a negative number: classes have numbers from 0")


def _refuse_rows(path: Path, lines: Sequence[tuple[int, str]]) -> None:
    """Refuse a name a line where some lines are NUMBER,NAME."""
    row = next((each for each in lines if _TABLE_ROW.fullmatch(each[1])), None)
    if row is not None:
        number, line = next(each for each in lines if not _NUMBER_NAME.fullmatch(each[1]))
        raise SourceError(
            f"{path}:{number}: {line[:40]!r} has no number, and {row[1][:40]!r} on line {row[0]} has: each line needs "
            "one, or none; names that begin with numbers can be given as a JSON list"
        )


def _unique(path: Path, pairs: list[tuple[int, str]]) -> dict[int, str]:
    names: dict[int, str] = {}
    numbers: dict[str, int] = {}
    for number, name in pairs:
        if names.setdefault(number, name) != name:
            raise SourceError(f"{path}: number {number} has two names, {names[number]!r} and {name!r}")
        if numbers.setdefault(name, number) != number:
            raise SourceError(f"{path}: numbers {numbers[name]} and {number} have the same name, {name!r}")
    return names


def _from_json(path: Path, data: bytes) -> tuple[dict[int, str], bool]:
    try:
        found = bounded_json(data.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):
        raise SourceError(f"{path}: it begins as JSON and is none") from None
    items: list[tuple[Any, Any]] = list(enumerate(found) if isinstance(found, list) else found.items())
    pairs = []
    for key, value in items:
        name = value[0] if isinstance(value, list) and value else value
        if not isinstance(name, str) or not name.strip() or not re.fullmatch(r"\d{1,15}", str(key)):
            raise SourceError(
                f'{path}: JSON that names numbers is {{"0": NAME, ...}}, and it has {str(key)[:40]}: {str(value)[:40]}'
            )
        pairs.append((int(key), name.strip()))
    return _unique(path, pairs), isinstance(found, list)


def _from_matlab(path: Path, data: bytes) -> list[tuple[int, str]]:
    """ILSVRC2012_ID and WNID of ImageNet's devkit."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise SourceError(
            f"{path}: MATLAB's files are read by SciPy, which is missing ({error}): pip install scipy; or give "
            "--class-names lines of NUMBER NAME"
        ) from error
    try:
        synsets = loadmat(io.BytesIO(data), squeeze_me=True)["synsets"].reshape(-1)
        numbers, names = synsets["ILSVRC2012_ID"], synsets["WNID"]
        return [(int(number), str(name)) for number, name in zip(numbers, names, strict=True)]
    except Exception as error:  # whatever SciPy raises for damaged files, of which it has many
        raise SourceError(
            f"{path}: no meta.mat of ImageNet's devkit, which has synsets with ILSVRC2012_ID and WNID: {error}"
        ) from error
