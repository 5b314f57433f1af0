"""Texts, and other lists of numbers, as columns."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice
from typing import TYPE_CHECKING

from gpu_pack.sources.columns import STEP, Cells, Column, Kind, index, raw, span_of

if TYPE_CHECKING:
    from gpu_pack.sources.columns import Rows


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
        for start in range(0, len(self), STEP):
            yield from self.many(range(start, min(start + STEP, len(self))))

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
