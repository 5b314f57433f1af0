"""What the golden files hold; standard library only, for MXNet's interpreter imports it too, to write them."""

from __future__ import annotations

MAGIC = bytes.fromhex("0a23d7ce")


def pattern(length: int, seed: int = 0) -> bytes:
    """Bytes that look like nothing in particular and never hold the magic number."""
    return bytes((seed * 31 + 7 * i + i * i % 13) % 199 for i in range(length))


#: Every length around the padding's and the header's size, the empty record included.
LENGTHS = [pattern(length, length) for length in range(41)]

#: Magic numbers wherever they might matter.
MAGICS = [
    MAGIC,
    MAGIC * 2,
    MAGIC * 5,
    MAGIC + b"abcd",
    b"abcd" + MAGIC,
    b"abcd" + MAGIC + b"efgh",
    b"abcd" + MAGIC * 3 + b"efgh" + MAGIC + b"ij",
    MAGIC + b"x",
    MAGIC + b"xyz" + MAGIC,  # the second one is not aligned
    b"a" + MAGIC + b"bcd" + MAGIC,  # first unaligned, second aligned
    b"ab" + MAGIC * 4,
    b"abc" + MAGIC + b"d" + MAGIC,
    MAGIC[:3],
    MAGIC[:2] + MAGIC + MAGIC[2:],
    pattern(5000) + MAGIC + pattern(3001),  # aligned, in a payload long enough for the vectorised search
    pattern(5001) + MAGIC + pattern(3000),  # not aligned, likewise
    pattern(4096) + MAGIC,
    pattern(4094) + MAGIC[:2],
]

#: (labels, key, image bytes): a single label is packed as a number, several as an array.
IMAGES: list[tuple[list[float], int, bytes]] = [
    ([0.0], 0, pattern(11)),
    ([8.0], 1, pattern(12)),
    ([0.1], 2, pattern(13)),
    ([-1.5], 3, b""),
    ([16777216.0], 2**24, pattern(1)),
    ([3.4028234663852886e38], 2**32, pattern(2)),
    ([float("inf")], 2**63, pattern(3)),
    ([1e-45], 2**64 - 1, pattern(4)),
    ([1.0, 2.0], 4, pattern(5)),
    ([0.1, -0.2, 0.3, 4e9, 5.0], 5, b""),
    ([float(i) for i in range(300)], 6, pattern(300)),
    ([7.0], 7, MAGIC + pattern(9) + MAGIC),
    ([7.0, 8.0, 9.0], 8, pattern(8) + MAGIC * 2 + pattern(3)),
]

#: Records whose very header is split, which MXNet writes and reads: (labels, key).
SPLIT_HEADERS: list[tuple[list[float], int]] = [
    ([1.0], 0xCED7230A),
    ([1.0], 0xCED7230A << 32),
    ([-1804698880.0], 3),
    ([1.0, 2.0], 0xCED7230A << 32),
    ([1.0, -1804698880.0, 2.0], 4),
    ([1.0, 2.0], 0xCED7230ACED7230A),
]

#: Rows of a list, as im2rec.py keeps them: (key, path, label, label, ...).
ROWS: list[tuple[object, ...]] = [
    (0, "a.jpg", 0),
    (1, "folder/b c.JPG", 8),
    (5, "folder/ü/é.png", 0.5),
    (2**40, "three.jpg", 1, 2.25, -3e-5),
    (7, "big.jpg", 16777216.0),
    (8, "tiny.jpg", 1e-9),
]


def picture() -> list[list[list[int]]]:
    """A 24 x 16 BGR picture as nested lists."""
    return [[[(x * 11) % 256, (y * 16) % 256, (x + y) * 6] for x in range(24)] for y in range(16)]


#: A list as people write them, for im2rec.py's own reader.
ODD_LIST = (
    "0\t1.000000\tplain.jpg\n"
    "1\t2\tbare.jpg\r\n"
    " 2 \t 3 \t blanks around.jpg \n"
    "\n"
    "   \n"
    "3\t4\n"
    "4 5 spaces.jpg\n"
    "x\t1\tkey.jpg\n"
    "5.0\t1\tkey.jpg\n"
    "6\tcat\tlabel.jpg\n"
    "7\t1\t2\t3.5\tseveral.jpg\n"
    "8\t1\t\tempty label.jpg\n"
    "-9\t1\tnegative.jpg\n"
    "1_000\t1_0.5\tunderscores.jpg\n"
    "10\tnan\tnan.jpg\n"
    "11\t-inf\tinf.jpg\n"
    "99999999999999999999999\t1e400\tlarge.jpg\n"
    "+12\t1\tplus.jpg\n"
    "٣\t٤\tarabic.jpg\n"
    "13\t1\tmac\r14\t2\tline ends.jpg\n"
    "\t15\t1\tleading tab.jpg\n"
    "16\t1\ttrailing tab.jpg\t\n"
    "17\t1\t\n"
    "18\t1\tü/é.jpg\n"
    "19\t1\tno line end.jpg"
)
