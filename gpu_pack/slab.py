"""Files that become records where they lie: read into one buffer, each behind the room that its record's head needs.

So only the system moves their bytes: from its cache to here, and from here to its cache. What does not fit, or is not
what was listed, is read and framed beside the buffer.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import numpy as np

from gpu_pack.errors import FormatError
from gpu_pack.headers import ImageError, examine, examine_in_place
from gpu_pack.interface import Entry, Framed, Image, Rejected, TransformSpec
from gpu_pack.reading import opened, read_image, read_into
from gpu_pack.recordio import framing

#: More than what follows a file in its record, and than the byte by which a file is seen to have grown.
_TAIL = 4
#: So much is looked through for magic numbers at a time: while it lies in a core's own cache, which saves a quarter.
_COUNT_BYTES = 256 << 10


class Slab:
    """A buffer that serves for one run of files after the other.

    Args:
        size: in bytes.
        root: what the entries' paths are relative to, unless they are absolute.
        spec: what is let pass; see `gpu_pack.passing.FilePasser`.
    """

    def __init__(self, size: int, root: str, spec: TransformSpec) -> None:
        self._room = np.empty(size, np.uint8).data
        self._root = root
        self._spec = spec

    def fill(self, entries: Sequence[Entry]) -> Framed:
        """Read, examine and frame some files. The records of the time before are gone.

        Raises:
            SourceError: no more files can be opened.
        """
        records = _Records(self._room)
        rejected: list[Rejected] = []
        with closing(opened(entries, self._root)) as files:
            for entry, descriptor in files:
                try:
                    refused = self._add(entry, descriptor, records)
                except ImageError as error:
                    refused = Rejected(entry, error.stage, error.reason)
                except FormatError as error:  # larger than a record can be
                    refused = Rejected(entry, "encode", str(error))
                if refused is not None:
                    rejected.append(refused)
        return records.framed(rejected)

    def _add(self, entry: Entry, descriptor: int | None, records: _Records) -> Rejected | None:
        """Make a record of an entry's file, which is closed: in the buffer, or beside it; or tell why there is none."""
        size, start = entry.size, records.end + framing.head_size(entry.labels)
        if descriptor is None or size is None or start + size + _TAIL > len(self._room):
            return self._beside(read_image(entry, self._root, descriptor), records)
        if not read_into(descriptor, size, self._room[start:]):
            return self._beside(read_image(entry, self._root), records)
        examine_in_place(self._room[start : start + size], self._spec.max_pixels, self._spec.other_formats)
        records.add(entry.key, framing.image_head(entry.key, entry.labels, size), size)
        return None

    def _beside(self, image: Image | Rejected, records: _Records) -> Rejected | None:
        if isinstance(image, Rejected):
            return image
        entry = image.entry
        examine(image.data, self._spec.max_pixels, self._spec.other_formats)
        records.add_beside(entry.key, framing.frame_pieces(entry.key, entry.labels, image.data))
        return None


class _Records:
    """Records that gather in a buffer, in one piece as long as none comes that lies beside it.

    Attributes:
        end: of the last one in the buffer; the next one's image belongs behind this and its head.
    """

    def __init__(self, room: memoryview) -> None:
        self.end = 0
        self._room = room
        self._start = 0  # of those in the buffer that are in no piece yet
        self._first = 0  # and the number of the first of them
        self._magics = self._counted = 0  # magic numbers in the buffer from ``_start`` to ``_counted``
        self._pieces: list[bytes | memoryview] = []
        self._keys: list[int] = []
        self._lengths: list[int] = []

    def add(self, key: int, head: bytes, size: int) -> None:
        """The image lies in its place."""
        start, image = self.end, self.end + len(head)
        tail = framing.padding(size)
        self.end = image + size + len(tail)
        self._room[start:image] = head
        self._room[image + size : self.end] = tail
        self._keys.append(key)
        self._lengths.append(self.end - start)
        if self.end - self._counted >= _COUNT_BYTES:
            self._count()

    def add_beside(self, key: int, record: Sequence[bytes]) -> None:
        """A record in pieces of its own."""
        self._cut()
        self._pieces += record
        self._keys.append(key)
        self._lengths.append(sum(map(len, record)))
        self._first = len(self._keys)

    def framed(self, rejected: list[Rejected]) -> Framed:
        """All of them; no more come."""
        self._cut()
        return Framed(self._pieces, self._keys, self._lengths, rejected)

    def _cut(self) -> None:
        """Make a piece of those in the buffer, or several, where magic numbers in their images split them."""
        self._count()
        piece = self._room[self._start : self.end]
        if self._magics == len(self._keys) - self._first:
            self._pieces.append(piece)
        else:
            self._split(piece)
        self._start, self._first, self._magics = self.end, len(self._keys), 0

    def _count(self) -> None:
        # Never -1 here, which stands for nobody having looked: NumPy is imported.
        self._magics += framing.count_magics(self._room[self._counted : self.end])
        self._counted = self.end

    def _split(self, piece: memoryview) -> None:
        start = 0
        for number in range(self._first, len(self._keys)):
            _, size = framing.PART.unpack_from(piece, start)
            payload = piece[start + framing.PART.size :][:size]
            start += self._lengths[number]
            record = framing.frame(bytes(payload))
            self._pieces.append(record)
            self._lengths[number] = len(record)
