"""Where the images of a listing lie inside of other files, in columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpu_pack.sources.columns import Column
from gpu_pack.types import Container, Place

if TYPE_CHECKING:
    from gpu_pack.sources.columns import Rows

_KINDS = ("raw", "zip")
_NONE = -1


@dataclass
class Places:
    """The places of rows, 29 bytes each; rows behind the last one that was put have none."""

    containers: dict[Container, int] = field(default_factory=dict)
    by_number: list[Container] = field(default_factory=list)
    numbers: Column = field(default_factory=lambda: Column("i"))
    offsets: Column = field(default_factory=lambda: Column("q"))
    lengths: Column = field(default_factory=lambda: Column("q"))
    crcs: Column = field(default_factory=lambda: Column("q"))
    kinds: Column = field(default_factory=lambda: Column("B"))

    def put(self, row: int, place: Place) -> None:
        """Set the place of a row that is behind all that have one."""
        while len(self.numbers) < row:
            self._append(_NONE, 0, 0, _NONE, 0)
        number = self.containers.setdefault(place.container, len(self.by_number))
        if number == len(self.by_number):
            self.by_number.append(place.container)
        crc = _NONE if place.crc is None else place.crc
        self._append(number, place.offset, place.length, crc, _KINDS.index(place.kind))

    def __getitem__(self, row: int) -> Place | None:
        if row >= len(self.numbers) or (number := self.numbers.at(row)) == _NONE:
            return None
        crc, kind = self.crcs.at(row), _KINDS[self.kinds.at(row)]
        return Place(
            self.by_number[number],
            self.offsets.at(row),
            self.lengths.at(row),
            kind,  # type: ignore[arg-type]  # one of the two
            None if crc == _NONE else crc,
        )

    def many(self, rows: Sequence[int]) -> list[Place | None]:
        """See `Column.many`."""
        return [*map(self.__getitem__, rows)] if self.numbers else [None] * len(rows)

    def take(self, rows: Rows) -> Places:
        """The places of some rows, in their order."""
        found = Places()
        self.copy_into(found, rows, 0)
        return found

    def copy_into(self, other: Places, rows: Rows, start: int) -> None:
        """Put the places of some rows into another column, whose rows from ``start`` on they become."""
        for number, row in enumerate(rows if self.numbers else (), start):
            if (place := self[int(row)]) is not None:
                other.put(number, place)

    def _append(self, number: int, offset: int, length: int, crc: int, kind: int) -> None:
        self.numbers.append(number)
        self.offsets.append(offset)
        self.lengths.append(length)
        self.crcs.append(crc)
        self.kinds.append(kind)
