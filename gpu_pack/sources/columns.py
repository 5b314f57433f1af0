"""Columns of numbers, texts and lists of numbers: a few bytes a row, and on the disk once they are large.

What a column holds beyond `IN_MEMORY` lies in a temporary file that is mapped into memory: a hundred million rows are
the system's file cache, which it drops where memory is short, not this process's. Columns grow at their end, compare
and pickle as values, and are read like any sequence; NumPy is imported where many rows are asked for at once.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, islice
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
_STEP = 1 << 16
#: Rows that are held as values until they are added together.
BLOCK = 1 << 10

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
        self._tail = array(kind)
        self._file: SpillFile | None = None
        self._spilled = 0
        self._mapped: Any = None
        self._room = IN_MEMORY // self._tail.itemsize
        self.extend(data)

    def __len__(self) -> int:
        return self._spilled + len(self._tail)

    def __iter__(self) -> Iterator[Any]:
        return chain(self._map(), self._tail)

    def __reduce__(self) -> tuple[type[Column], tuple[str, bytes]]:
        return Column, (self.kind, self.slice(0, len(self)))

    def at(self, row: int) -> Any:
        """See `Cells.at`."""
        if row >= self._spilled:
            return self._tail[row - self._spilled]
        return self._map()[row]

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
        found = b""
        if start < self._spilled:
            found = self._map()[start : min(end, self._spilled)].tobytes()
        if end > self._spilled:
            found += self._tail[max(start - self._spilled, 0) : end - self._spilled].tobytes()
        return found

    def pieces(self) -> Iterator[memoryview]:
        """All numbers as bytes, in one or two pieces; nothing may be added while one of them is held."""
        yield self._map().cast("B")
        yield memoryview(self._tail).cast("B")

    def view(self) -> memoryview:
        """All numbers without a copy; nothing may be added while it is held."""
        if not self._spilled:
            return memoryview(self._tail)
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
        return {number for start in range(0, len(self), _STEP) for number in {*self[start : start + _STEP]}}

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
        self._spilled += len(self._tail)
        self._tail, self._mapped = array(self.kind), None

    def _map(self) -> memoryview:
        """What the file holds."""
        if self._mapped is None:
            whole = memoryview(b"") if self._file is None else self._file.map()
            self._mapped = whole.cast(self.kind)
        mapped: memoryview = self._mapped
        return mapped


class Keys(Cells[int]):
    """Record ids: numbers of 64 bits; those that count up take no room."""

    def __init__(self, first: int = 0, count: int = 0, column: Column | None = None) -> None:
        self._first, self._count, self._column = first, count, column

    def __len__(self) -> int:
        return self._count if self._column is None else len(self._column)

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._first, self._first + self._count) if self._column is None else self._column)

    def __reduce__(self) -> tuple[type[Keys], tuple[int, int, Column | None]]:
        return Keys, (self._first, self._count, self._column)

    def at(self, row: int) -> int:
        """See `Cells.at`."""
        if self._column is not None:
            return int(self._column.at(row))
        if not 0 <= row < self._count:
            raise IndexError(row)
        return self._first + row

    def append(self, key: int) -> None:
        """Add one."""
        if self._column is None:
            if not self._count:
                self._first = key
            if key == self._first + self._count:
                self._count += 1
                return
            self._column = self._written()
        self._column.append(key)

    def append_all(self, keys: Sequence[int]) -> None:
        """See `Column.append_all`."""
        begin = self._first + self._count if self._count else keys[0]
        if self._column is not None:
            self._column.append_all(keys)
        elif [*range(begin, begin + len(keys))] == [*keys]:
            self._first, self._count = begin - self._count, self._count + len(keys)
        else:
            for key in keys:
                self.append(key)

    def extend(self, keys: Keys) -> None:
        """Add those of another column."""
        if self._column is None:
            self._column = self._written()
        for piece in keys.pieces():
            self._column.extend(piece)

    def pieces(self) -> Iterator[bytes | memoryview]:
        """All keys as bytes, 8 for each; see `Column.pieces`."""
        if self._column is not None:
            yield from self._column.pieces()
            return
        end = self._first + self._count
        for start in range(self._first, end, _STEP):
            yield array("Q", range(start, min(start + _STEP, end))).tobytes()

    def many(self, rows: Sequence[int]) -> list[int]:
        """See `Column.many`."""
        return [self._first + row for row in rows] if self._column is None else self._column.many(rows)

    def take(self, rows: Rows) -> Keys:
        """See `Column.take`."""
        if self._column is not None:
            return Keys(column=self._column.take(rows))
        if (span := span_of(rows)) is not None:
            return Keys(self._first + span[0], span[1] - span[0])
        found = index(rows).astype("u8") + self._first
        return Keys(column=Column("Q", raw(found)))

    def _written(self) -> Column:
        column = Column("Q")
        for piece in self.pieces():
            column.extend(piece)
        return column


class Ragged:
    """Lists of numbers of one kind.

    Args:
        kind: of the numbers.
        values: of all lists, one after the other.
        starts: where each list begins in them, and at last where they end.
    """

    def __init__(self, kind: Kind, values: Column | None = None, starts: Column | None = None) -> None:
        self.values = Column(kind) if values is None else values
        self.starts = Column("q", array("q", [0]).tobytes()) if starts is None else starts

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __reduce__(self) -> tuple[type[Ragged], tuple[Kind, Column, Column]]:
        return Ragged, (self.values.kind, self.values, self.starts)

    def at(self, row: int) -> bytes:
        """The list of a row, as bytes."""
        return self.values.slice(self.starts.at(row), self.starts.at(row + 1))

    def append(self, data: bytes) -> None:
        """Add a list."""
        self.values.extend(data)
        self.starts.append(len(self.values))

    def extend_with(self, lists: Sequence[bytes], end: bytes) -> None:
        """Add lists of bytes, with an end behind each."""
        before = len(self.values)
        ends = accumulate((len(data) + len(end) for data in lists), initial=before)
        self.values.extend(end.join([*lists, b""]))
        self.starts.extend(array("q", islice(ends, 1, None)).tobytes())

    def extend(self, other: Ragged) -> None:
        """Add the lists of another one."""
        before = len(self.values)
        for piece in other.values.pieces():
            self.values.extend(piece)
        self.starts.extend(raw(other.starts.numpy()[1:] + before))

    def take(self, rows: Rows) -> Ragged:
        """The lists of some rows, in their order."""
        import numpy as np

        kind, starts = self.values.kind, self.starts.numpy()
        if (span := span_of(rows)) is not None:
            first, last = span
            own = starts[first : last + 1] - starts[first]
            data = self.values.slice(int(starts[first]), int(starts[last]))
        else:
            chosen = index(rows)
            begin, end = starts[chosen], starts[chosen + np.asarray(1, chosen.dtype)]
            own = np.zeros(len(rows) + 1, np.int64)
            np.cumsum(end - begin, out=own[1:])
            whole = self.values.numpy().data
            spans = zip(begin.tolist(), end.tolist(), strict=True)
            data = b"".join([whole[low:high] for low, high in spans])
        return Ragged(kind, Column(kind, data), Column("q", raw(own)))


class Texts(Cells[str]):
    """Texts, in UTF-8 with a line end behind each."""

    def __init__(self, lines: Ragged | None = None) -> None:
        self._lines = Ragged("B") if lines is None else lines

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _STEP):
            yield from self.many(range(start, min(start + _STEP, len(self))))

    def __reduce__(self) -> tuple[type[Texts], tuple[Ragged]]:
        return Texts, (self._lines,)

    @property
    def nbytes(self) -> int:
        """What they take in UTF-8."""
        return self._lines.values.nbytes

    def at(self, row: int) -> str:
        """See `Cells.at`."""
        return self._lines.at(row)[:-1].decode("utf-8", "surrogatepass")

    def append(self, text: str) -> None:
        """Add a text."""
        self._lines.append(text.encode("utf-8", "surrogatepass") + b"\n")

    def append_all(self, texts: Sequence[str]) -> None:
        """See `Column.append_all`."""
        self._lines.extend_with([text.encode("utf-8", "surrogatepass") for text in texts], b"\n")

    def extend(self, texts: Texts) -> None:
        """Add those of another column."""
        self._lines.extend(texts._lines)

    def many(self, rows: Sequence[int]) -> list[str]:
        """See `Column.many`."""
        starts, data = self._lines.starts.view(), self._lines.values.view()
        return [data[starts[row] : starts[row + 1] - 1].tobytes().decode("utf-8", "surrogatepass") for row in rows]

    def pieces(self) -> Iterator[memoryview]:
        """The texts as lines, in UTF-8; see `Column.pieces`."""
        return self._lines.values.pieces()

    def take(self, rows: Rows) -> Texts:
        """See `Column.take`."""
        return Texts(self._lines.take(rows))


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
