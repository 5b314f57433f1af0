"""What is wrong with a dataset, one value a fault, collected from many threads."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

from gpu_pack.errors import SourceError

#: Faults beyond so many are only counted: a file that is nothing but faults must not fill the memory.
MAX_KEPT = 100_000


class Fault(NamedTuple):
    """One thing that is wrong.

    Attributes:
        file: the path of the file that it is found in.
        what: the fault in words, and what to do where that is not plain.
        offset: where its record begins, in bytes; None where it concerns no place in a .rec.
        key: of its record or line, where it has one.
        line: of a text file, from 1.
    """

    file: str
    what: str
    offset: int | None = None
    key: int | None = None
    line: int | None = None

    def __str__(self) -> str:
        place = f":{self.line}" if self.line is not None else ""
        place += f": at byte {self.offset}" if self.offset is not None else ""
        place += f": key {self.key}" if self.key is not None else ""
        return f"{self.file}{place}: {self.what}"

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the places it does not have."""
        return {name: value for name, value in self._asdict().items() if value is not None}


class Faults:
    """A collection that threads add to.

    Attributes:
        count: of all faults, kept or not.
    """

    def __init__(self) -> None:
        self.count = 0
        self._kept: dict[Fault, None] = {}
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Keep one, or count it only; what two checks find is one fault."""
        with self._lock:
            if fault in self._kept:
                return
            self.count += 1
            if len(self._kept) < MAX_KEPT:
                self._kept[fault] = None

    def sorted(self) -> list[Fault]:
        """Those that were kept, by file and place."""
        with self._lock:
            return sorted(self._kept, key=lambda fault: (fault.file, fault.line or 0, fault.offset or 0, fault.what))


def unreadable(path: object, error: OSError) -> SourceError:
    """The one sentence about a file that cannot be read."""
    return SourceError(f"{path}: cannot be read: {error.strerror or error}")
