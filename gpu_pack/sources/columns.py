"""Columns of numbers: a few bytes a row, and on the disk once they are large.

What a column holds beyond `IN_MEMORY` lies in a temporary file that is mapped into memory: a hundred million rows are
the system's file cache, which it drops where memory is short, not this process's. Columns grow at their end, compare
and pickle as values, and are read like any sequence; NumPy is imported where many rows are asked for at once.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from gpu_pack.sources.spill import SpillFile

    #: Numbers of rows; those of a range are copied in one piece.
    Rows = Sequence[int] | npt.NDArray[np.integer[Any]]

#: Bytes of a column that are held in memory before it gets a file, and between two writes to that.
IN_MEMORY, PIECE = 64 << 20, 4 << 20
#: Rows that are copied at once where Python goes through all of them.
STEP = 1 << 16
#: Rows that are held as values until they are added together.
ROWS_AT_ONCE = 1 << 10

#: A column that is read by several threads is spilled by one of them.
_SPILLING = Lock()

#: As `array`'s: bytes, and unsigned and signed numbers of 2, 4 and 8 bytes, and floats of 8.
Kind = Literal["B", "H", "I", "Q", "i", "q", "d"]
Value = TypeVar("Value")


class Cells(Sequence[Value]):
    """A sequence that is equal to any other with the same values. Subclasses have `at`, ``__len__``, ``__iter__``."""

    def at(self, row: int) -> Value:
        """The value of a row, from 0."""
        raise NotImplementedError

    @overload
    def __getitem__(self, row: int) -> Value: ...
    @overload
    def __getitem__(self, row: slice) -> list[Value]: ...
    def __getitem__(self, row: int | slice) -> Value | list[Value]:
        if isinstance(row, slice):
            return [self.at(each) for each in range(*row.indices(len(self)))]
        return self.at(row if row >= 0 else row + len(self))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (Sequence, array)):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # it grows


class Column(Cells[Any]):
    """Numbers of one kind.

    Args:
        kind: of the numbers.
        data: the first of them, as bytes of this machine.

    Raises:
        SourceError: where it grows, and the disk has no room.
    """

    def __init__(self, kind: Kind, data: bytes | memoryview = b"") -> None:
        self.kind: Kind = kind
        self._file: SpillFile | None = None
        self._spilled, self._tail = 0, array(kind)
        self._both = self._spilled, self._tail  # for readers in other threads
        self._mapped: memoryview | None = None
        self._room = IN_MEMORY // self._tail.itemsize
        self.extend(data)

    def __len__(self) -> int:
        return self._spilled + len(self._tail)

    def __iter__(self) -> Iterator[Any]:
        spilled, tail = self._both
        return chain(self._map()[:spilled], tail)

    def __reduce__(self) -> tuple[type[Column], tuple[str, bytes]]:
        return Column, (self.kind, self.slice(0, len(self)))

    def at(self, row: int) -> Any:
        """See `Cells.at`."""
        spilled, tail = self._both
        return tail[row - spilled] if row >= spilled else self._map()[row]

    @property
    def nbytes(self) -> int:
        """What its numbers take."""
        return len(self) * self._tail.itemsize

    def append(self, value: Any) -> None:
        """Add a number."""
        self._tail.append(value)
        if len(self._tail) >= self._room:
            self._spill()

    def append_all(self, values: Iterable[float]) -> None:
        """Add numbers, far faster than one at a time."""
        self.extend(array(self.kind, values).tobytes())

    def extend(self, data: bytes | memoryview) -> None:
        """Add numbers of this kind, as bytes."""
        self._tail.frombytes(data)
        if len(self._tail) >= self._room:
            self._spill()

    def slice(self, start: int, end: int) -> bytes:
        """The numbers of some rows, as bytes."""
        found, (spilled, tail) = b"", self._both
        if start < spilled:
            found = self._map()[start : min(end, spilled)].tobytes()
        if end > spilled:
            found += tail[max(start - spilled, 0) : end - spilled].tobytes()
        return found

    def pieces(self) -> Iterator[memoryview]:
        """All numbers as bytes, in one or two pieces; nothing may be added while one of them is held."""
        spilled, tail = self._both
        yield self._map()[:spilled].cast("B")
        yield memoryview(tail).cast("B")

    def view(self) -> memoryview:
        """All numbers without a copy; nothing may be added while it is held."""
        if not self._spilled:
            return memoryview(self._tail)
        with _SPILLING:
            if self._tail:
                self._spill()
        return self._map()

    def numpy(self) -> npt.NDArray[Any]:
        """As `view`."""
        import numpy as np

        return np.frombuffer(self.view(), self.kind) if len(self) else np.empty(0, self.kind)

    def many(self, rows: Sequence[int]) -> list[Any]:
        """The numbers of some rows, in their order."""
        return [*map(self.view().__getitem__, rows)]

    def different(self) -> set[Any]:
        """The different numbers, which are few."""
        return {number for start in range(0, len(self), STEP) for number in {*self[start : start + STEP]}}

    def take(self, rows: Rows) -> Column:
        """The numbers of some rows, in their order."""
        if (span := span_of(rows)) is not None:
            return Column(self.kind, self.slice(*span))
        return Column(self.kind, raw(self.numpy()[index(rows)]))

    def _spill(self) -> None:
        if self._file is None:
            from gpu_pack.sources.spill import SpillFile  # here: few runs have such lists

            self._file = SpillFile()
            self._room = max(1, PIECE // self._tail.itemsize)
        with memoryview(self._tail) as data:
            self._file.append(data)
        self._spilled, self._tail = self._spilled + len(self._tail), array(self.kind)
        self._mapped = None
        self._both = self._spilled, self._tail

    def _map(self) -> memoryview:
        """What the file holds."""
        mapped = self._mapped
        if mapped is None or len(mapped) < self._spilled:  # another thread may have mapped it before it grew
            whole: Any = memoryview(b"") if self._file is None else self._file.map()
            self._mapped = mapped = whole.cast(self.kind)
        return mapped


def span_of(rows: Rows) -> tuple[int, int] | None:
    """First and last of rows that follow each other; None for others."""
    return (rows.start, max(rows.start, rows.stop)) if isinstance(rows, range) and rows.step == 1 else None


def index(rows: Rows) -> npt.NDArray[np.integer[Any]]:
    """Rows as NumPy takes them, without a copy of those of an `array`."""
    import numpy as np

    return np.asarray(rows) if isinstance(rows, (array, np.ndarray)) else np.array([*rows], np.int64)


def raw(numbers: npt.NDArray[Any]) -> bytes | memoryview:
    """The bytes of an array of one dimension."""
    return numbers.data.cast("B") if numbers.size else b""
