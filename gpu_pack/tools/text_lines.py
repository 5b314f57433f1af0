"""Reads text files in bounded memory, line by line."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from typing import TypeVar

from gpu_pack.errors import ListError
from gpu_pack.formats import lst
from gpu_pack.stores.data_path import DataPath
from gpu_pack.tools.faults import Faults, unreadable
from gpu_pack.types import Entry

#: After this many lines that do not parse, the rest of a file is not read.
MAX_BAD_LINES = 1000

Value = TypeVar("Value")


def text_lines(path: DataPath, longest: int = 1 << 20) -> Iterator[tuple[int, bytes]]:
    """``(number, line)`` of each line of a plain file but blank ones; beyond ``longest`` bytes a line comes in pieces.

    Raises:
        SourceError: the file cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise unreadable(path, OSError("not a plain file"))
        with path.open("rb") as file:
            number = 0
            while line := file.readline(longest):
                number += 1
                if not line.isspace():
                    yield number, line
    except OSError as error:
        raise unreadable(path, error) from error


def parsed_lines(
    path: DataPath, parse: Callable[[bytes, int], Value], faults: Faults, longest: int = 1 << 20
) -> Iterator[tuple[int, Value]]:
    """``(number, parse(line, number))`` of each line; lines for which that raises ListError or ValueError are faults.

    Raises:
        SourceError: the file cannot be read.
    """
    bad = 0
    for number, line in text_lines(path, longest):
        try:
            value = parse(line, number)
        except (ListError, ValueError) as error:
            bad += 1
            if bad >= MAX_BAD_LINES:
                faults.add(path, "so many lines are damaged that the rest was not read", line=number)
                return
            faults.add(path, str(error).removeprefix(f"{path}:{number}: "), line=number)
        else:
            yield number, value


def list_entry(path: DataPath, line: bytes, number: int) -> Entry:
    """The entry in a line of a .lst.

    Raises:
        ListError: see `gpu_pack.formats.lst.parse_line`.
    """
    return lst.parse_line(line.decode("utf-8-sig" if number == 1 else "utf-8", "surrogateescape"), str(path), number)
