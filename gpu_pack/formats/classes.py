"""classes.txt: one class name a line; the line number, from 0, is the label."""

from __future__ import annotations

from collections.abc import Iterable

from gpu_pack.errors import SourceError
from gpu_pack.stores.data_path import DataPath

NAME = "classes.txt"
_MAX_BYTES = 64 << 20


def read_classes(path: DataPath) -> tuple[str, ...]:
    """The names of a classes.txt, by label.

    Raises:
        SourceError: unreadable, too large, not UTF-8, empty, or with a blank or repeated name.
    """
    lines = as_text(path, read_small_file(path)).split("\n")
    first: dict[str, int] = {}
    for number, line in enumerate(lines[:-1] if lines[-1] == "" else lines, 1):
        name = line.rstrip("\r")
        if not name.strip():
            raise SourceError(f"{path}:{number}: a blank line where a class name should be")
        if name in first:
            raise SourceError(f"{path}:{number}: class {name!r} is on line {first[name]} already")
        first[name] = number
    if not first:
        raise SourceError(f"{path}: no class names in it")
    return tuple(first)


def format_classes(names: Iterable[str]) -> bytes:
    """The text of a classes.txt with these names."""
    return "".join(f"{name}\n" for name in names).encode()


def read_small_file(path: DataPath) -> bytes:
    """All of a file with names of classes.

    Raises:
        SourceError: it cannot be read, or has over 64 MiB.
    """
    try:
        if path.exists() and not path.is_file():
            raise SourceError(f"{path}: not a plain file")
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(data) > _MAX_BYTES:
        raise SourceError(f"{path}: over {_MAX_BYTES} bytes; this is not a list of class names")
    return data


def as_text(path: DataPath, data: bytes) -> str:
    """The bytes of a file as text.

    Raises:
        SourceError: they are not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: not UTF-8 at byte {error.start}") from error
