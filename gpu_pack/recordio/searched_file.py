"""A .rec file whose records are read with a bound on the reads, and that is searched for where records may begin."""

from __future__ import annotations

from bisect import bisect_left

from gpu_pack.errors import FormatError
from gpu_pack.recordio.framing import MAGIC
from gpu_pack.recordio.scanning import ReadAt

#: Reads that one record may take: two for each part, and the record of a real image has one part, or a few.
MAX_READS = 200_000
_BLOCK = 4 << 20


class SearchedFile:
    """A .rec file, for one thread.

    Args:
        read: reads the file; it should buffer.
        size: in bytes.
        max_reads: see `MAX_READS`.

    Attributes:
        reads: calls of `read_at` so far.
    """

    def __init__(self, read: ReadAt, size: int, max_reads: int = MAX_READS) -> None:
        self.size = size
        self.reads = self._limit = 0
        self._read, self._max_reads = read, max_reads
        self._searched = range(0)  # offsets in which `next_magic` has found
        self._magics: list[int] = []

    def begin_record(self, offset: int) -> None:
        """Allow `read_at` as many calls as the record of an image needs; nothing before ``offset`` is read again."""
        self._limit = self.reads + self._max_reads

    def read_at(self, offset: int, count: int) -> bytes:
        """``count`` bytes from ``offset``, fewer only where the file ends.

        Raises:
            FormatError: more calls than `begin_record` allowed.
            SourceError: the file cannot be read.
        """
        self.reads += 1
        if self.reads > self._limit:
            raise FormatError(f"the record has over {self._max_reads // 2} parts, which no image has")
        return self._read(offset, count)

    def next_magic(self, start: int) -> int:
        """Where the next magic number at a multiple of four lies, from ``start`` on; the file's size if none does."""
        import numpy as np

        start += -start % 4
        while start < self.size:
            if start not in self._searched:
                start = self._next_data(start)
                block = self._read(start, _BLOCK)
                self._searched = range(start, start + max(len(block), 4))
                words = np.frombuffer(block, "<u4", len(block) // 4)
                self._magics = (np.flatnonzero(words == MAGIC) * 4 + start).tolist()
            found = bisect_left(self._magics, start)
            if found < len(self._magics):
                return self._magics[found]
            start = self._searched.stop + -self._searched.stop % 4
        return self.size

    def _next_data(self, start: int) -> int:
        """Where data begins that is no hole, a multiple of four."""
        return start
