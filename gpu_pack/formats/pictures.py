"""Which records of a .rec are pictures, in the order of the .idx, and their keys."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from gpu_pack.errors import FormatError
from gpu_pack.formats.foreign import name_foreign
from gpu_pack.formats.notices import Notice
from gpu_pack.formats.record_keys import (
    EMPTY_INDEX,
    by_headers,
    index_lines,
    metadata_notice,
    reaches_on,
    repeated_rows,
)
from gpu_pack.recordio.scanning import ReadAt, read_record_header, reader, scan_headers
from gpu_pack.stores.data_path import DataPath, read_places

#: A record without a picture has header and labels only; of longer records, the headers are not read.
_LONGEST_METADATA = 1024


class Pictures(NamedTuple):
    """The pictures of one .rec.

    Attributes:
        offsets: of the records, in bytes.
        keys: by `gpu_pack.formats.record_keys`; None if those of the .idx are no numbers.
        notices: what a reader should know.
        size: of the file, in bytes.
    """

    offsets: array[int]
    keys: array[int] | None
    notices: list[Notice]
    size: int


def find_pictures(path: DataPath) -> Pictures:
    """The pictures by the .idx; all headers are read where there is none, or one in which a key comes twice.

    Raises:
        FormatError: a malformed or empty .idx, or a .rec that is damaged or something else.
        SourceError, OSError: a file cannot be read.
    """
    index = path.with_suffix(".idx")
    with read_places(path) as (read_at, size):
        keys, offsets = index_lines(index) if index.exists() else (None, None)
        if offsets is None or (keys is not None and repeated_rows(keys)):
            return _by_headers(path, size)
        if size and not offsets:
            raise FormatError(EMPTY_INDEX, str(index))
        if offsets and _stops_early(read_at, path, size, offsets):
            return _by_headers(path, size)
        empty = set(_without_picture(read_at, path, size, offsets))
    if not empty:
        return Pictures(offsets, keys, [], size)
    rows = [row for row, offset in enumerate(offsets) if offset not in empty]
    first = next(row for row, offset in enumerate(offsets) if offset in empty)
    notice = metadata_notice(len(empty), keys[first] if keys is not None else first, path)
    kept = None if keys is None else array("Q", (keys[row] for row in rows))
    return Pictures(array("Q", (offsets[row] for row in rows)), kept, [notice], size)


def _stops_early(read_at: ReadAt, path: DataPath, size: int, offsets: array[int]) -> bool:
    """Whether an .idx has the first records only, as beside files that were joined."""
    if not reaches_on(read_at, max(offsets), size):
        return False
    with suppress(FormatError), path.open("rb") as file:
        first = islice((info.offset for info in scan_headers(file, str(path))), len(offsets))
        return sorted(offsets) == list(first)
    return False


def _by_headers(path: DataPath, size: int) -> Pictures:
    ids, offsets, sizes = array("Q"), array("Q"), array("Q")
    with path.open("rb") as file:
        try:
            for info in scan_headers(file, str(path)):
                ids.append(info.key)
                offsets.append(info.offset)
                sizes.append(info.data_size)
        except FormatError:
            _refuse_foreign(reader(file), path, size)
            raise
    chosen = by_headers(zip(offsets, ids, strict=True), path)
    keys = array("Q", map(chosen.of, offsets, ids))
    notices = [chosen.repeated] if chosen.repeated is not None else []
    rows = [row for row, data_size in enumerate(sizes) if data_size]
    if len(rows) < len(sizes):
        first = next(row for row, data_size in enumerate(sizes) if not data_size)
        notices.append(metadata_notice(len(sizes) - len(rows), keys[first], path))
    return Pictures(array("Q", (offsets[row] for row in rows)), array("Q", (keys[row] for row in rows)), notices, size)


def _without_picture(read_at: ReadAt, path: DataPath, size: int, offsets: array[int]) -> Iterator[int]:
    """The offsets of records without a picture, told by the distance to the next one and then by the header."""
    import numpy as np

    ordered = np.unique(np.asarray(offsets))
    gaps = np.diff(ordered, append=np.uint64(max(size, int(ordered[-1])) if len(ordered) else 0))
    places = np.flatnonzero((gaps <= _LONGEST_METADATA) | (np.arange(len(ordered)) == 0)).tolist()
    with path.open("rb") as file:
        in_a_row = reader(file)  # a request for each is too much where there are many
        for place in places:
            offset = int(ordered[place])
            try:
                if not read_record_header(in_a_row if place else read_at, offset, size, str(path)).data_size:
                    yield offset
            except FormatError:  # told when the record is read
                if not place:
                    _refuse_foreign(read_at, path, size)


def _refuse_foreign(read_at: ReadAt, path: DataPath, size: int) -> None:
    """Raise a FormatError if the file is something else."""
    name = None
    with suppress(FormatError):
        name = name_foreign(read_at, size)
    if name is not None:
        raise FormatError(name, str(path))
