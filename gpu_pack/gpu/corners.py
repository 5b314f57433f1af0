"""Compares what the device decoded with the CPU's decoding of each picture's first pixels.

nvImageCodec's hardware decoder marks every picture of a batch as decoded without reading a status of its own (0.8,
hw_decoder.cpp, decodeBatch). Pictures were seen that it had not decoded: black, or with another picture's pixels.

Only a picture's first blocks are decoded: its size is changed to theirs, and its data cut off. That takes 12 us; all
of a picture of 500 x 375 takes 510.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import simplejpeg

from gpu_pack.formats.image_headers import Header

Pixels: TypeAlias = npt.NDArray[np.uint8]

#: Edge of the square that the device gives of each picture; the CPU decodes 8 or 16 of its rows.
EDGE = 16
#: A greater mean difference, in levels, is another picture's. The cut costs at most 1.9 (saturated noise).
_MOST_DIFFERENT = 12
#: Two uncompressible MCUs are smaller: 8 blocks x 64 coefficients of up to 26 bits, stuffed.
_SCAN_BYTES = 4096
#: The start of T.81's frame header: length, precision, height, width.
_frame = struct.Struct(">HBHH").pack


def corner(header: Header) -> tuple[int, int]:
    """(y, x) in the upright picture of the square at its first pixels; it may go beyond the picture's edges."""
    width, height = header.upright_size
    rows, columns = _decoded_size(header)
    if header.orientation > 4:
        rows, columns = columns, rows
    x = width - columns if header.orientation in (2, 3, 6, 7) else 0
    y = height - rows if header.orientation in (3, 4, 7, 8) else 0
    return y, x


def decode_corner(data: bytes, header: Header, gray: bool) -> Pixels | None:
    """The first pixels of a baseline JPEG, upright, (rows, columns, 1 or 3) as gray or RGB; None: it cannot be decoded.

    They are at `corner` of the upright picture: 16 columns and 8 or 16 rows, or fewer where the picture is smaller.
    """
    try:
        pixels = simplejpeg.decode_jpeg(_cut(data, header), "GRAY" if gray else "RGB", strict=False)
    except ValueError:
        return None
    rows, columns = _decoded_size(header)
    pixels = pixels[:rows, :columns]
    if header.orientation > 4:
        pixels = pixels.swapaxes(0, 1)
    if header.orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    found: Pixels = pixels[::-1] if header.orientation in (3, 4, 7, 8) else pixels
    return found


def different(corners: Pixels, expected: Sequence[Pixels | None]) -> list[int]:
    """Which of the device's squares, uint8 (images, 16, 16, 1 or 3), differ from `decode_corner`'s; None differs."""
    wanted = corners.copy()
    sizes = np.full(len(expected), 1)
    for place, pixels in enumerate(expected):
        if pixels is not None:
            wanted[place, : pixels.shape[0], : pixels.shape[1]] = pixels
            sizes[place] = pixels.size
    levels = np.maximum(wanted, corners) - np.minimum(wanted, corners)
    wrong = levels.reshape(len(expected), -1).sum(1, dtype=np.int64) > _MOST_DIFFERENT * sizes
    wrong |= [pixels is None for pixels in expected]
    places: list[int] = np.flatnonzero(wrong).tolist()
    return places


def _mcu(header: Header) -> tuple[int, int]:
    """(rows, columns) of the unit that a scan consists of."""
    if header.components == 1:
        return 8, 8
    return 8 * max(y for _, y in header.sampling), 8 * max(x for x, _ in header.sampling)


def _decoded_size(header: Header) -> tuple[int, int]:
    """(rows, columns), as stored, of the pixels that are decoded."""
    return min(_mcu(header)[0], header.height), min(EDGE, header.width)


def _cut(data: bytes, header: Header) -> Any:
    """A JPEG of the first one or two MCUs; the whole file if a component has its own scan or the frame is no SOF0."""
    frame = _frame(8 + 3 * header.components, 8, header.height, header.width)
    start = data.find(b"\xff\xc0" + frame, 0, header.body) + 2
    if start < 2 or data[header.body + 2] != header.components:
        return data
    rows, columns = _mcu(header)
    frame = _frame(8 + 3 * header.components, 8, rows, EDGE if header.width > columns else columns)
    return b"".join((data[:start], frame, data[start + len(frame) : header.body + _SCAN_BYTES], b"\xff\xd9"))
