"""Record ids, as a column."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gpu_pack.sources.columns import STEP, Cells, Column, index, raw, span_of

if TYPE_CHECKING:
    from gpu_pack.sources.columns import Rows


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
        for start in range(self._first, end, STEP):
            yield array("Q", range(start, min(start + STEP, end))).tobytes()

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
