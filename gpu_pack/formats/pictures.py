"""Which records of a .rec are pictures, in the order of the .idx, and their keys."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

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
from gpu_pack.recordio.scanning import read_record_header, reader, scan_headers

#: A record without a picture has header and labels only; of longer records, the headers are not read.
_LONGEST_METADATA = 1024


class Pictures(NamedTuple):
    """The pictures of one .rec.

    Attributes:
        offsets: of the records, in bytes.
        keys: by `gpu_pack.formats.record_keys`; None if those of the .idx are no numbers.
        notices: what a reader should know.
    """

    offsets: array[int]
    keys: array[int] | None
    notices: list[Notice]


def find_pictures(path: str) -> Pictures:
    """The pictures by the .idx; all headers are read where there is none, or one in which a key comes twice.

    Raises:
        FormatError: a malformed or empty .idx, or a .rec that is damaged or something else.
        OSError: a file cannot be read.
    """
    index = Path(path).with_suffix(".idx")
    with Path(path).open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        keys, offsets = index_lines(index) if index.exists() else (None, None)
        if offsets is None or (keys is not None and repeated_rows(keys)):
            return _by_headers(file, path, size)
        if size and not offsets:
            raise FormatError(EMPTY_INDEX, os.fspath(index))
        if offsets and _stops_early(file, path, size, offsets):
            return _by_headers(file, path, size)
        empty = set(_without_picture(file, path, size, offsets))
    if not empty:
        return Pictures(offsets, keys, [])
    rows = [row for row, offset in enumerate(offsets) if offset not in empty]
    first = next(row for row, offset in enumerate(offsets) if offset in empty)
    notice = metadata_notice(len(empty), keys[first] if keys is not None else first, Path(path))
    kept = None if keys is None else array("Q", (keys[row] for row in rows))
    return Pictures(array("Q", (offsets[row] for row in rows)), kept, [notice])


def _stops_early(file: BinaryIO, path: str, size: int, offsets: array[int]) -> bool:
    """Whether an .idx has the first records only, as beside files that were joined."""
    if not reaches_on(reader(file), max(offsets), size):
        return False
    with suppress(FormatError):
        first = islice((info.offset for info in scan_headers(file, path)), len(offsets))
        return sorted(offsets) == list(first)
    return False


def _by_headers(file: BinaryIO, path: str, size: int) -> Pictures:
    ids, offsets, sizes = array("Q"), array("Q"), array("Q")
    try:
        for info in scan_headers(file, path):
            ids.append(info.key)
            offsets.append(info.offset)
            sizes.append(info.data_size)
    except FormatError:
        _refuse_foreign(file, path, size)
        raise
    chosen = by_headers(zip(offsets, ids, strict=True), Path(path))
    keys = array("Q", map(chosen.of, offsets, ids))
    notices = [chosen.repeated] if chosen.repeated is not None else []
    rows = [row for row, data_size in enumerate(sizes) if data_size]
    if len(rows) < len(sizes):
        first = next(row for row, data_size in enumerate(sizes) if not data_size)
        notices.append(metadata_notice(len(sizes) - len(rows), keys[first], Path(path)))
    return Pictures(array("Q", (offsets[row] for row in rows)), array("Q", (keys[row] for row in rows)), notices)


def _without_picture(file: BinaryIO, path: str, size: int, offsets: array[int]) -> Iterator[int]:
    """The offsets of records without a picture, told by the distance to the next one and then by the header."""
    import numpy as np

    read_at = reader(file)
    ordered = np.unique(np.asarray(offsets))
    gaps = np.diff(ordered, append=np.uint64(max(size, int(ordered[-1])) if len(ordered) else 0))
    for place in np.flatnonzero((gaps <= _LONGEST_METADATA) | (np.arange(len(ordered)) == 0)).tolist():
        offset = int(ordered[place])
        try:
            if not read_record_header(read_at, offset, size, path).data_size:
                yield offset
        except FormatError:  # told when the record is read
            if not place:
                _refuse_foreign(file, path, size)


def _refuse_foreign(file: BinaryIO, path: str, size: int) -> None:
    """Raise a FormatError if the file is something else."""
    name = None
    with suppress(FormatError):
        name = name_foreign(reader(file), size)
    if name is not None:
        raise FormatError(name, path)
