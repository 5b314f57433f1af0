"""Files that become records where they lie: read into one buffer, each behind the room that its record's head needs.

So only the system moves their bytes: from its cache to here, and from here to its cache. What does not fit, or is not
what was listed, is read and framed beside the buffer.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import numpy as np

from gpu_pack.errors import FormatError
from gpu_pack.formats.image_headers import ImageError, examine, examine_in_place
from gpu_pack.recordio import framing
from gpu_pack.stores.local import opened, read_image, read_into
from gpu_pack.types import Entry, Framed, Image, Rejected, TransformSpec

#: More than what follows a file in its record, and than the byte by which a file is seen to have grown.
_TAIL = 4
#: Where it lies in the buffer, or what `read_image` gave for it.
_File = slice | Image | Rejected


class RecordBuffer:
    """A buffer that serves for one run of files after the other.

    Args:
        size: in bytes.
        root: what the entries' paths are relative to, unless they are absolute.
        spec: what is let pass; see `gpu_pack.pipeline.pass_through.FilePasser`.
    """

    def __init__(self, size: int, root: str, spec: TransformSpec) -> None:
        self._room = np.empty(size, np.uint8).data
        self._root = root
        self._spec = spec

    def fill(self, entries: Sequence[Entry]) -> Records:
        """Read, examine and frame some files. The records of the time before are gone.

        Step by step for all of them: a core that changes between the system and the interpreter for each file takes
        twice as long to look at it (10 us instead of 5), since each drives the other from its caches.

        Raises:
            SourceError: no more files can be opened.
        """
        found = self._read(entries)
        records = Records(self._room)
        for entry, file in zip(entries, found, strict=True):
            try:
                refused = self._add(entry, file, records)
            except ImageError as error:
                refused = Rejected(entry, error.stage, error.reason)
            except FormatError as error:  # larger than a record can be
                refused = Rejected(entry, "encode", str(error))
            if refused is not None:
                records.rejected.append(refused)
        return records

    def _read(self, entries: Sequence[Entry]) -> list[_File]:
        """The files, as many as possible in the buffer."""
        found: list[_File] = []
        end = 0
        with closing(opened(entries, self._root)) as files:
            for entry, descriptor in files:
                size, start = entry.size, end + framing.head_size(entry.labels)
                if descriptor is None or size is None or start + size + _TAIL > len(self._room):
                    found.append(read_image(entry, self._root, descriptor))
                elif read_into(descriptor, size, self._room[start:]):
                    found.append(slice(start, start + size))
                    end = start + size + len(framing.padding(size))
                else:
                    found.append(read_image(entry, self._root))
        return found

    def _add(self, entry: Entry, file: _File, records: Records) -> Rejected | None:
        """Make a record of an entry's file, or tell why there is none."""
        if isinstance(file, Rejected):
            return file
        if isinstance(file, Image):
            examine(file.data, self._spec.max_pixels, self._spec.other_formats)
            records.add_beside(entry.key, framing.frame_pieces(entry.key, entry.labels, file.data))
            return None
        data = self._room[file]
        examine_in_place(data, self._spec.max_pixels, self._spec.other_formats)
        records.add(entry.key, framing.image_head(entry.key, entry.labels, len(data)), file)
        return None


class Records:
    """Records that gather from a buffer: those that lie one behind the other are in one piece.

    Attributes:
        rejected: the files that are none.
    """

    def __init__(self, room: memoryview) -> None:
        self.rejected: list[Rejected] = []
        self._room = room
        self._start = self._end = 0  # of those in the buffer that are in no piece yet
        self._first = 0  # and the number of the first of them
        self._pieces: list[bytes | memoryview] = []
        self._keys: list[int] = []
        self._lengths: list[int] = []

    def add(self, key: int, head: bytes, image: slice) -> None:
        """The image lies in its place already."""
        start = image.start - len(head)
        if start != self._end:  # what lay between was rejected
            self._cut()
            self._start = start
        tail = framing.padding(image.stop - image.start)
        self._end = image.stop + len(tail)
        self._room[start : image.start] = head
        self._room[image.stop : self._end] = tail
        self._keys.append(key)
        self._lengths.append(self._end - start)

    def add_beside(self, key: int, record: Sequence[bytes]) -> None:
        """A record in pieces of its own."""
        self._cut()
        self._pieces += record
        self._keys.append(key)
        self._lengths.append(sum(map(len, record)))
        self._first = len(self._keys)

    def framed(self) -> Framed:
        """All of them, looked through for magic numbers, which takes no interpreter. No more come."""
        self._cut()
        return Framed(self._pieces, self._keys, self._lengths, self.rejected)

    def _cut(self) -> None:
        """Make a piece of those in the buffer, or several, where magic numbers in their images split them."""
        piece = self._room[self._start : self._end]
        if not piece:
            return
        # Never -1 here, which stands for nobody having looked: NumPy is imported.
        if framing.count_magics(piece) == len(self._keys) - self._first:
            self._pieces.append(piece)
        else:
            self._split(piece)
        self._start, self._first = self._end, len(self._keys)

    def _split(self, piece: memoryview) -> None:
        start = 0
        for number in range(self._first, len(self._keys)):
            _, size = framing.PART.unpack_from(piece, start)
            payload = piece[start + framing.PART.size :][:size]
            start += self._lengths[number]
            record = framing.frame(bytes(payload))
            self._pieces.append(record)
            self._lengths[number] = len(record)
