"""What a baseline JPEG's header says, and the tables that its encoder needs: ITU-T T.81 annex K, JFIF 1.02."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

#: Natural position of each coefficient in zigzag order (T.81 figure A.6).
ZIGZAG = sorted(range(64), key=lambda at: (at // 8 + at % 8, at // 8 if (at // 8 + at % 8) % 2 else at % 8))

#: T.81 tables K.1 and K.2, in natural order.
_LUMA = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CHROMA = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99,
    99, 99, 99, *[99] * 32,
)  # fmt: skip

#: T.81 tables K.3 to K.6: how many codes there are of each length 1 to 16, and the symbols in order of their codes.
_DC = ((0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0), (0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0))
_AC = ((0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125), (0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119))
_DC_SYMBOLS = bytes(range(12))
_AC_SYMBOLS = (
    bytes.fromhex(
        "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a343536373839"
        "3a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7"
        "a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
    ),
    bytes.fromhex(
        "000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f11718191a262728292a35363738"
        "393a434445464748494a535455565758595a636465666768696a737475767778797a82838485868788898a92939495969798999aa2a3a4a5"
        "a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa"
    ),
)


def quantisation(quality: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Divisors for luma and chroma, 64 each in natural order, as the Independent JPEG Group scales them (1 to 100)."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    luma, chroma = (np.clip((np.array(base) * scale + 50) // 100, 1, 255) for base in (_LUMA, _CHROMA))
    return luma.astype(np.int32), chroma.astype(np.int32)


def huffman() -> npt.NDArray[np.uint32]:
    """``code << 8 | length``, uint32 [4][256] by symbol: DC of luma and chroma, AC of luma and chroma."""
    tables = np.zeros((4, 256), np.uint32)
    for table, (counts, symbols) in zip(tables, _tables(), strict=True):
        code, place = 0, 0
        for length, count in enumerate(counts, 1):
            for symbol in symbols[place : place + count]:
                table[symbol] = code << 8 | length
                code += 1
            place += count
            code <<= 1
    return tables


def header(width: int, height: int, quality: int) -> bytes:
    """Everything before the scan of a 4:2:0 JPEG, from SOI to SOS."""
    jfif = b"JFIF\0" + struct.pack(">BBBHHBB", 1, 1, 0, 1, 1, 0, 0)
    parts = [b"\xff\xd8", _segment(0xE0, jfif)]
    for number, table in enumerate(quantisation(quality)):
        parts.append(_segment(0xDB, bytes([number, *table[ZIGZAG].tolist()])))
    components = bytes((1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1))
    parts.append(_segment(0xC0, struct.pack(">BHHB", 8, height, width, 3) + components))
    for place, (counts, symbols) in ((place, _tables()[place]) for place in (0, 2, 1, 3)):
        kind = (place // 2) << 4 | place % 2
        parts.append(_segment(0xC4, bytes([kind, *counts]) + symbols))
    parts.append(_segment(0xDA, bytes((3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0))))
    return b"".join(parts)


def _tables() -> list[tuple[tuple[int, ...], bytes]]:
    return [(_DC[0], _DC_SYMBOLS), (_DC[1], _DC_SYMBOLS), (_AC[0], _AC_SYMBOLS[0]), (_AC[1], _AC_SYMBOLS[1])]


def _segment(code: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, code, len(payload) + 2) + payload
