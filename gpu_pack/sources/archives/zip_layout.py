"""Where the members of a zip lie: how far each may reach, and which of them claim the same bytes."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from gpu_pack.sources.archives.zip_directory import ZipEntry

#: A local header with the longest name and extra field.
_LONGEST_HEADER = 30 + 2 * 0xFFFF


class Layout:
    """The offsets of all members, 8 bytes each.

    Args:
        offsets: of the local headers.
        end: of the last member's data: where the directory begins.
    """

    def __init__(self, offsets: Iterable[int], end: int) -> None:
        self._offsets = array("q", sorted(offsets))
        self._end = end

    def reach(self, entry: ZipEntry) -> int:
        """The bytes from a member's local header on that hold all of it.

        Raises:
            ValueError: they lie outside of the archive, or are another member's too.
        """
        position = bisect_right(self._offsets, entry.offset)
        after = min(self._offsets[position], self._end) if position < len(self._offsets) else self._end
        least = entry.header + entry.packed
        if entry.offset + least > self._end:
            raise ValueError("its data lies outside of its archive")
        if entry.offset + least > after or position - bisect_left(self._offsets, entry.offset) > 1:
            raise ValueError("its data is that of another member too")
        return min(after - entry.offset, _LONGEST_HEADER + entry.packed)
