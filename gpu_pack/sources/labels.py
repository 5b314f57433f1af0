"""The label values of a listing's rows, as a column."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from gpu_pack.sources.columns import Cells, Column, index, raw
from gpu_pack.sources.text_column import Ragged

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from gpu_pack.sources.columns import Rows

Values = tuple[float, ...]

#: Different lists of values that are held once each. Sets with more, as of boxes, hold every row's.
MOST_DIFFERENT = 1 << 16
#: Rows that Python goes through at once.
_STEP = 1 << 16


class Labels(Cells[Values]):
    """Label values of each row: a number of 4 bytes for one of some lists of values, or the values themselves.

    Args:
        table: the lists of values, by number.
        numbers: of each row.
        lists: the values of each row, in place of both.
    """

    def __init__(
        self, table: Iterable[Values] = (), numbers: Column | None = None, lists: Ragged | None = None
    ) -> None:
        self.table = list(table)
        self._numbers = Column("I") if numbers is None else numbers
        self._lists = lists
        self._known: dict[Values | bytes, int] | None = None

    @classmethod
    def of(cls, labels: Sequence[Values]) -> Labels:
        """Labels as such a column."""
        if isinstance(labels, Labels):
            return labels
        made = cls()
        for values in labels:
            made.append(values)
        return made

    def __len__(self) -> int:
        return len(self._numbers) if self._lists is None else len(self._lists)

    def __iter__(self) -> Iterator[Values]:
        if self._lists is None:
            return map(self.table.__getitem__, self._numbers)
        return map(self.at, range(len(self)))

    def __reduce__(self) -> tuple[type[Labels], tuple[list[Values], Column, Ragged | None]]:
        return Labels, (self.table, self._numbers, self._lists)

    def at(self, row: int) -> Values:
        """See `Cells.at`."""
        if self._lists is None:
            return self.table[int(self._numbers.at(row))]
        return tuple(array("d", self._lists.at(row)))

    def many(self, rows: Sequence[int]) -> list[Values]:
        """See `Column.many`."""
        if self._lists is not None:
            return [*map(self.at, rows)]
        return [*map(self.table.__getitem__, self._numbers.many(rows))]

    def append(self, values: Values) -> None:
        """Add a row; -0.0 is not 0.0 here, since records hold it as it is."""
        number = self._number(values)
        if number is not None:
            self._numbers.append(number)
            return
        if self._lists is None:
            self._hold_lists()
        assert self._lists is not None
        self._lists.append(array("d", values).tobytes())

    def append_numbers(self, numbers: Iterable[int]) -> None:
        """Add rows by the numbers of their values, which ``table`` has, or gets before any are read."""
        self._numbers.append_all(numbers)

    def extend(self, labels: Labels) -> None:
        """Add those of another column."""
        numbers = [*map(self._number, labels.table)]
        if self._lists is not None or labels._lists is not None or None in numbers:
            for values in labels:
                self.append(values)
            return
        import numpy as np

        new = np.array(numbers, np.uint32)
        for piece in labels._steps():
            self._numbers.extend(raw(new[index(piece)]))

    def take(self, rows: Rows) -> Labels:
        """See `Column.take`; the table has the values of these rows alone."""
        if self._lists is not None:
            return Labels(lists=self._lists.take(rows))
        import numpy as np

        numbers = self._numbers.take(rows)
        used, new = np.unique(numbers.numpy(), return_inverse=True)
        table = [self.table[number] for number in used.tolist()]
        return Labels(table, Column("I", raw(new.astype(np.uint32))))

    # ---- all at once

    def value_pieces(self) -> Iterator[bytes | memoryview]:
        """The values of all rows, one after the other, as doubles; see `Column.pieces`."""
        if self._lists is not None:
            yield from self._lists.values.pieces()
            return
        texts = [array("d", values).tobytes() for values in self.table]
        for numbers in self._steps():
            yield b"".join([texts[number] for number in numbers])

    def count_pieces(self) -> Iterator[bytes]:
        """How many values each row has, as numbers of 4 bytes."""
        if self._lists is not None:
            starts = self._lists.starts
            for start in range(0, len(self), _STEP):
                ends = array("q", starts.slice(start, min(start + _STEP, len(self)) + 1))
                yield array("I", [high - low for low, high in pairwise(ends)]).tobytes()
            return
        counts = [array("I", [len(values)]).tobytes() for values in self.table]
        for numbers in self._steps():
            yield b"".join([counts[number] for number in numbers])

    def ranks(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
        """For each row the place of its first value among all different ones, and these, lowest first."""
        import numpy as np

        if self._lists is not None:
            firsts = self._lists.values.numpy()[self._lists.starts.numpy()[:-1]]
            different, ranks = np.unique(firsts, return_inverse=True)
            return ranks.astype(_smallest(len(different))), different
        used, numbers = self._used(), self._numbers.numpy()
        different, ranks = np.unique([self.table[number][0] for number in used.tolist()], return_inverse=True)
        places = np.zeros(len(self.table), _smallest(len(different)))
        places[used] = ranks
        found = np.empty(len(self), places.dtype)
        for start in range(0, len(self), _STEP):
            found[start : start + _STEP] = places[numbers[start : start + _STEP]]
        return found, different

    def count_firsts(self, rows: Rows) -> Counter[float]:
        """How many of some rows have each first value."""
        if self._lists is not None:
            return Counter(self.at(row)[0] for row in rows)
        import numpy as np

        counts = np.bincount(self._numbers.take(rows).numpy(), minlength=len(self.table)).tolist()
        found: Counter[float] = Counter()
        for values, count in zip(self.table, counts, strict=True):
            if count:
                found[values[0]] += count
        return found

    def different(self, rows: Rows | None = None) -> set[Values]:
        """The different lists of values of some rows; None for all."""
        some = self if rows is None else self.take(rows)
        return set(some) if some._lists is not None else {some.table[number] for number in some._used().tolist()}

    def _used(self) -> npt.NDArray[np.intp]:
        """The numbers that rows have."""
        import numpy as np

        used, numbers = np.zeros(len(self.table), bool), self._numbers.numpy()
        for start in range(0, len(numbers), _STEP):
            used[numbers[start : start + _STEP]] = True
        return np.flatnonzero(used)

    def _number(self, values: Values) -> int | None:
        """Of a list of values in the table, into which it may come; None where rows have their own."""
        if self._lists is not None:
            return None
        if self._known is None:
            self._known = {_key(each): number for number, each in enumerate(self.table)}
        number = self._known.get(key := _key(values))
        if number is None and len(self.table) < MOST_DIFFERENT:
            number = self._known[key] = len(self.table)
            self.table.append(values)
        return number

    def _steps(self) -> Iterator[array[int]]:
        """The numbers of the rows, some at a time."""
        for start in range(0, len(self), _STEP):
            yield array("I", self._numbers.slice(start, min(start + _STEP, len(self))))

    def _hold_lists(self) -> None:
        """Give every row its own values from here on."""
        lists = Ragged("d")
        for values in self:
            lists.append(array("d", values).tobytes())
        self._lists, self.table, self._numbers, self._known = lists, [], Column("I"), None


def _key(values: Values) -> Values | bytes:
    """The same for the same values, of which 0.0 and -0.0 are two."""
    return values if 0.0 not in values else array("d", values).tobytes()


def _smallest(values: int) -> type[np.unsignedinteger[Any]]:
    """The smallest kind of number for that many: those of 2 bytes are sorted in linear time."""
    import numpy as np

    return np.uint16 if values <= 1 << 16 else np.uint32
