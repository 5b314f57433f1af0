"""The next header in what is left of a damaged tar."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gpu_pack.sources.archives.tar_header import BLOCK, parse_header

ReadAt = Callable[[int, int], bytes]

_CHUNK_BYTES = 1 << 20
#: Bytes that a checksum field may hold: digits, blanks and NULs.
_CHECK_BYTES = np.zeros(256, bool)
_CHECK_BYTES[[0, 32, *range(48, 56)]] = True
_TYPES = frozenset(b"\x000123456789gxXLKSDMVNA")


def find_header(read_at: ReadAt, position: int, end: int | None) -> int | None:
    """The position of the first header at ``position`` or a whole number of blocks behind it.

    Args:
        read_at: reads up to so many bytes at an offset.
        position: where to begin.
        end: where to give up; None: at the end of the file.
    """
    while end is None or position + BLOCK <= end:
        data = read_at(position, _CHUNK_BYTES if end is None else min(_CHUNK_BYTES, end - position))
        whole = len(data) // BLOCK * BLOCK
        if not whole:
            return None
        blocks = np.frombuffer(data, np.uint8, whole).reshape(-1, BLOCK)
        likely = _CHECK_BYTES[blocks[:, 148:156]].all(axis=1) & (blocks[:, 148:156] >= 48).any(axis=1)
        for number in np.flatnonzero(likely):
            block = data[number * BLOCK : (number + 1) * BLOCK]
            if block[0] and block[156] in _TYPES and parse_header(block) is not None:
                return position + int(number) * BLOCK
        position += whole
    return None
