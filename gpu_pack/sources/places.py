"""Where the images of a listing lie inside of other files, in columns."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from gpu_pack.types import Container, Place

_KINDS = ("raw", "zip")
_NONE = -1


@dataclass
class Places:
    """The places of rows, 29 bytes each; rows behind the last one that was put have none."""

    containers: dict[Container, int] = field(default_factory=dict)
    by_number: list[Container] = field(default_factory=list)
    numbers: array[int] = field(default_factory=lambda: array("i"))
    offsets: array[int] = field(default_factory=lambda: array("q"))
    lengths: array[int] = field(default_factory=lambda: array("q"))
    crcs: array[int] = field(default_factory=lambda: array("q"))
    kinds: bytearray = field(default_factory=bytearray)

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
        if row >= len(self.numbers) or (number := self.numbers[row]) == _NONE:
            return None
        crc, kind = self.crcs[row], _KINDS[self.kinds[row]]
        return Place(
            self.by_number[number],
            self.offsets[row],
            self.lengths[row],
            kind,  # type: ignore[arg-type]  # one of the two
            None if crc == _NONE else crc,
        )

    def _append(self, number: int, offset: int, length: int, crc: int, kind: int) -> None:
        self.numbers.append(number)
        self.offsets.append(offset)
        self.lengths.append(length)
        self.crcs.append(crc)
        self.kinds.append(kind)
