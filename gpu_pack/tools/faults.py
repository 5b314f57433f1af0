"""What is wrong with a dataset, and the base of every report that lists it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple, TypeVar

from gpu_pack.errors import GpuPackError, SourceError, UsageError
from gpu_pack.formats.notices import Notice, merge_notices, select
from gpu_pack.stores.data_path import DataPath

#: Further faults are only counted, so that a file of nothing but faults cannot fill the memory.
MAX_KEPT = 100_000

Options = TypeVar("Options")


class Fault(NamedTuple):
    """One thing that is wrong.

    Attributes:
        file: path of the file.
        what: the fault in words, and the remedy where it is not obvious.
        offset: where the record begins, in bytes; None for a fault outside of a .rec.
        key: of the record or line, if it has one.
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


class Faults:
    """A thread-safe collection of faults without duplicates.

    Attributes:
        count: of all faults, kept or not.
    """

    def __init__(self) -> None:
        self.count = 0
        self._kept: dict[Fault, None] = {}
        self._lock = threading.Lock()

    def add(
        self,
        path: DataPath | str,
        what: str,
        offset: int | None = None,
        key: int | None = None,
        line: int | None = None,
    ) -> None:
        """Add a `Fault`; beyond `MAX_KEPT` it is only counted."""
        fault = Fault(str(path), what, offset, key, line)
        with self._lock:
            if fault in self._kept:
                return
            self.count += 1
            if len(self._kept) < MAX_KEPT:
                self._kept[fault] = None

    @contextmanager
    def collect(self, path: DataPath, before: str = "") -> Iterator[None]:
        """Turn an error about ``path`` into a fault, with ``before`` in front of its message."""
        try:
            yield
        except (GpuPackError, OSError) as error:
            text = str(unreadable(path, error) if isinstance(error, OSError) else error)
            place = re.match(re.escape(str(path)) + r"(?::(\d+))?: ", text)
            line = int(place[1]) if place and place[1] else None
            self.add(path, before + text[place.end() if place else 0 :], line=line)

    def sorted(self) -> list[Fault]:
        """The kept faults, by file and position."""
        with self._lock:
            return sorted(self._kept, key=lambda fault: (fault.file, fault.line or 0, fault.offset or 0, fault.what))


class ToolReport:
    """Base of the dataclasses that the tools return.

    Attributes:
        notes, warnings: what is no fault: code, message, count, example.
        faults: by file and position, at most `MAX_KEPT`; ``fault_count`` is the number of all.
    """

    notes: list[dict[str, Any]]
    warnings: list[dict[str, Any]]
    faults: list[Fault]
    fault_count: int

    @property
    def ok(self) -> bool:
        """Whether everything is as it should be."""
        return self.fault_count == 0

    def set_faults(self, faults: Faults) -> None:
        """Copy what was collected."""
        self.faults, self.fault_count = faults.sorted(), faults.count

    def set_notices(self, notices: Iterable[Notice]) -> None:
        """Copy what was collected, one entry a code."""
        merged = merge_notices(notices)
        self.notes, self.warnings = select(merged, "note"), select(merged, "warning")

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``--json``, ``ok`` first."""
        plain: dict[str, Any] = _plain(self)
        return {"ok": self.ok, **plain}


def _plain(value: Any) -> Any:
    if isinstance(value, Fault):
        return {name: item for name, item in value._asdict().items() if item is not None}
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return list(map(_plain, value)) if isinstance(value, list) else value


def choose_options(options: Options | None, keywords: Options) -> Options:
    """``options`` if they are given, else the ones made from keyword arguments.

    Raises:
        UsageError: both are given.
    """
    if options is not None and keywords != type(keywords)():
        raise UsageError("give either options or keyword arguments, not both")
    return keywords if options is None else options


def unreadable(path: object, error: OSError) -> SourceError:
    """The error about a file that cannot be read."""
    return SourceError(f"{path}: cannot be read: {error.strerror or error}")
