"""Reads the blocks of a stream: from object stores several at once, and the next ones while these are used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

from gpu_pack.dataset.read_ahead import read_ahead
from gpu_pack.dataset.read_records import ImageRecord
from gpu_pack.dataset.record_files import Place, RecordFiles

#: Bytes that are asked for at once where the records' sizes allow it: 5 blocks of crops. Twice as much is held.
_WINDOW = 8 << 20


class Block(NamedTuple):
    """A block: how many records it has, and number and place of those that are wanted."""

    length: int
    rows: list[int]
    places: list[Place]


#: How many records there were in the blocks, and those that are wanted, by number.
Read = tuple[int, dict[int, tuple[Place, ImageRecord]]]


def read_blocks(files: RecordFiles, blocks: Iterable[Block]) -> Iterator[Read]:
    """The blocks, in order, several at a time where that is faster; errors as of `RecordFiles`."""
    if not files.remote:
        return (_read(files, [block]) for block in blocks)
    return read_ahead(partial(_read, files), _windows(files, blocks))


def _read(files: RecordFiles, blocks: list[Block]) -> Read:
    rows = [row for block in blocks for row in block.rows]
    places = [place for block in blocks for place in block.places]
    records = files.run(places) if places else []
    return sum(block.length for block in blocks), dict(zip(rows, zip(places, records, strict=True), strict=True))


def _windows(files: RecordFiles, blocks: Iterable[Block]) -> Iterator[list[Block]]:
    window: list[Block] = []
    size = 0
    for block in blocks:
        more = files.size(block.places)
        if window and size + more > _WINDOW:
            yield window
            window, size = [], 0
        window.append(block)
        size += more
    if window:
        yield window
