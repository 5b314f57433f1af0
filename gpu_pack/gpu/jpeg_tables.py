"""Header and tables of OpenCV's baseline 4:2:0 JPEGs, read from one that it encodes (ITU-T T.81 annex B)."""

from __future__ import annotations

import struct
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

#: Natural index of each coefficient in zigzag order (T.81 figure A.6).
ZIGZAG = sorted(range(64), key=lambda at: (at // 8 + at % 8, at // 8 if (at // 8 + at % 8) % 2 else at % 8))
_QUANTISATION, _HUFFMAN, _SCAN = 0xDB, 0xC4, 0xDA


class JpegTables(NamedTuple):
    """What an encoder of one size and quality needs.

    Attributes:
        header: the file from SOI to SOS, before the scan.
        divisors: int32 [2][64] in natural order: luma, chroma.
        huffman: uint32 [4][256] by symbol, ``code << 8 | length``: DC of luma and chroma, AC of luma and chroma.
    """

    header: bytes
    divisors: npt.NDArray[np.int32]
    huffman: npt.NDArray[np.uint32]


def opencv_options(quality: int) -> list[int]:
    """For ``cv2.imencode``: a 4:2:0 JPEG."""
    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    return [cv2.IMWRITE_JPEG_QUALITY, quality, *sampling]


def jpeg_tables(edge: int, quality: int) -> JpegTables:
    """Of files of ``edge`` x ``edge`` pixels."""
    file = cv2.imencode(".jpg", np.zeros((edge, edge, 3), np.uint8), opencv_options(quality))[1].tobytes()
    divisors, huffman = np.zeros((2, 64), np.int32), np.zeros((4, 256), np.uint32)
    marker, end = 0, 2
    while marker != _SCAN:
        start, (marker, length) = end + 4, struct.unpack_from(">xBH", file, end)
        end += 2 + length
        kind = file[start]
        if marker == _QUANTISATION:
            divisors[kind, ZIGZAG] = list(file[start + 1 : end])
        elif marker == _HUFFMAN:
            _fill_codes(huffman[2 * (kind >> 4) + kind % 16], file[start + 1 : start + 17], file[start + 17 : end])
    return JpegTables(file[:end], divisors, huffman)


def _fill_codes(table: npt.NDArray[np.uint32], counts: bytes, symbols: bytes) -> None:
    """From the number of codes of each length 1 to 16, and the symbols in code order."""
    code, place = 0, 0
    for length, count in enumerate(counts, 1):
        for symbol in symbols[place : place + count]:
            table[symbol] = code << 8 | length
            code += 1
        place += count
        code <<= 1
