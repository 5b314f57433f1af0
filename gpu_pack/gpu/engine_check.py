"""Judges the JPEG engines of one worker by the first pixels of their pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gpu_pack.formats.image_headers import Header
from gpu_pack.gpu.corners import Pixels, decode_corner, different

WRONG = "a picture's first pixels differ from the CPU's: the CPU decoded it"
#: The engines fail once this many pictures in a row were wrong, or this many in all and more than one in a hundred.
_IN_A_ROW, _IN_ALL, _ONE_IN = 3, 10, 100


class EngineCheck:
    """Counts the pictures whose first pixels the device and the CPU decode differently.

    Args:
        failures: wrong pictures are counted there too, as `WRONG`.

    Attributes:
        failing: whether so many were wrong that the engines must not be used.
    """

    def __init__(self, gray: bool, failures: Counter[str]) -> None:
        self.failing = False
        self._gray, self._failures = gray, failures
        self._checked = self._wrong = self._in_a_row = 0

    @property
    def verdict(self) -> str:
        """How many were wrong, as a clause."""
        return f"since {self._wrong} of {self._checked} pictures were wrong"

    def decode(self, files: Sequence[tuple[bytes, Header]]) -> list[Pixels | None]:
        """The CPU's pixels for `examine`; may run in another thread."""
        return [decode_corner(data, header, self._gray) for data, header in files]

    def examine(self, corners: Pixels, expected: Sequence[Pixels | None]) -> list[int]:
        """The places in a batch of pictures that the CPU codec must decode: wrong ones, which are counted, and those
        of which the CPU could not decode the first pixels alone.

        Args:
            corners: `gpu_pack.gpu.protocols.Crops.corners`.
            expected: from `decode`.
        """
        wrong = set(different(corners, expected))
        for place, pixels in enumerate(expected):
            if pixels is not None:
                self._count(place in wrong)
        return sorted(wrong)

    def _count(self, wrong: bool) -> None:
        self._checked += 1
        self._wrong += wrong
        self._in_a_row = self._in_a_row + 1 if wrong else 0
        many = self._wrong >= _IN_ALL and self._wrong * _ONE_IN > self._checked
        if wrong:
            self._failures[WRONG] += 1
        self.failing = self.failing or many or self._in_a_row >= _IN_A_ROW
