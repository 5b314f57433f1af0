"""Pictures for tests, made on the spot: pixels, and the files that hold them, some of them written by hand."""

from __future__ import annotations

import functools
import struct
import zlib

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

RED, GREEN, BLUE, YELLOW = (0, 0, 255), (0, 255, 0), (255, 0, 0), (0, 255, 255)


def photo(width: int, height: int, seed: int = 0) -> Pixels:
    """Height x width x 3, BGR: soft shapes with some grain, as photographs have."""
    return _photo(width, height, seed).copy()


@functools.lru_cache(100)
def _photo(width: int, height: int, seed: int) -> Pixels:
    random = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3), np.float32)
    for cells, weight in ((3, 60.0), (12, 30.0), (48, 12.0)):
        coarse = random.normal(0, weight, (min(cells, height), min(cells, width), 3)).astype(np.float32)
        pixels += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).reshape(pixels.shape)
    return np.clip(pixels + 128 + random.integers(-3, 4, pixels.shape, np.int8), 0, 255).astype(np.uint8)


def quadrants(width: int, height: int) -> Pixels:
    """Height x width x 3, BGR: red top left, green top right, blue bottom left, yellow bottom right."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2], pixels[: height // 2, width // 2 :] = RED, GREEN
    pixels[height // 2 :, : width // 2], pixels[height // 2 :, width // 2 :] = BLUE, YELLOW
    return pixels


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """The stored pixels as EXIF's orientation 1 to 8 wants them shown."""
    turned = pixels.swapaxes(0, 1) if orientation > 4 else pixels
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    return turned[:, ::-1] if orientation in (2, 3, 6, 7) else turned


def jpeg(pixels: Pixels, quality: int = 95, orientation: int | None = None, *flags: int) -> bytes:
    """A JPEG file; ``flags`` are further pairs for cv2.imencode."""
    data = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, quality, *flags))[1].tobytes()
    return data if orientation is None else with_exif(data, exif(orientation))


def progressive(pixels: Pixels) -> bytes:
    """A progressive JPEG file."""
    return jpeg(pixels, 95, None, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)


def exif(orientation: int, order: str = "<") -> bytes:
    """A TIFF header and a directory that holds the orientation and nothing else."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def with_exif(data: bytes, block: bytes) -> bytes:
    """A JPEG file with an EXIF segment put first."""
    return data[:2] + segment(0xE1, b"Exif\0\0" + block) + data[2:]


def segment(code: int, payload: bytes) -> bytes:
    """A JPEG marker segment."""
    return struct.pack(">BBH", 0xFF, code, len(payload) + 2) + payload


def cmyk_jpeg(planes: npt.NDArray[np.uint8]) -> bytes:
    """An Adobe CMYK JPEG of ``planes`` (height x width x 4, C M Y K, stored inverted as Adobe does).

    Written by hand: OpenCV's gray JPEGs share their tables, so four of their scans make one picture.
    """
    scans, tables = [], b""
    for plane in np.moveaxis(planes, 2, 0):
        data = jpeg(np.ascontiguousarray(plane))
        tables = b"".join(segment(code, body) for code, body in _segments(data) if code in (0xDB, 0xC4))
        start = data.index(b"\xff\xda")
        scans.append(data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") : -2])
    height, width = planes.shape[:2]
    components = b"".join(bytes((number, 0x11, 0)) for number in range(1, 5))
    frame = segment(0xC0, struct.pack(">BHHB", 8, height, width, 4) + components)
    adobe = segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, 0))
    body = b"".join(segment(0xDA, bytes((1, number, 0, 0, 63, 0))) + scan for number, scan in enumerate(scans, 1))
    return b"\xff\xd8" + adobe + tables + frame + body + b"\xff\xd9"


def _segments(data: bytes) -> list[tuple[int, bytes]]:
    """(code, payload) of a JPEG's segments up to its first scan."""
    found, position = [], 2
    while data[position + 1] != 0xDA:
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        found.append((data[position + 1], data[position + 4 : position + 2 + length]))
        position += 2 + length
    return found


def png(pixels: npt.NDArray[np.generic], level: int = 3) -> bytes:
    """A PNG file of 8 or 16 bits, by OpenCV."""
    return cv2.imencode(".png", pixels, (cv2.IMWRITE_PNG_COMPRESSION, level))[1].tobytes()


def chunk(kind: bytes, payload: bytes) -> bytes:
    """A PNG chunk with its checksum."""
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def palette_png(indices: npt.NDArray[np.uint8], palette: list[tuple[int, int, int]]) -> bytes:
    """A PNG file of ``indices`` (height x width) into ``palette`` (R, G, B)."""
    height, width = indices.shape
    rows = b"".join(b"\0" + row.tobytes() for row in indices)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0))
        + chunk(b"PLTE", b"".join(map(bytes, palette)))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def png_with_exif(data: bytes, block: bytes) -> bytes:
    """A PNG file with an eXIf chunk after its IHDR."""
    return data[:33] + chunk(b"eXIf", block) + data[33:]


def webp(pixels: Pixels, quality: int = 90) -> bytes:
    """A WebP file; lossless above a quality of 100."""
    return cv2.imencode(".webp", pixels, (cv2.IMWRITE_WEBP_QUALITY, quality))[1].tobytes()


def bmp(pixels: Pixels) -> bytes:
    """A Windows bitmap."""
    return cv2.imencode(".bmp", pixels)[1].tobytes()


def tiff(pixels: npt.NDArray[np.generic]) -> bytes:
    """A TIFF file."""
    return cv2.imencode(".tiff", pixels)[1].tobytes()


def tiff_with_alpha(pixels: npt.NDArray[np.uint8]) -> bytes:
    """An uncompressed TIFF with unassociated alpha from height x width x (gray, alpha) or (red, green, blue, alpha)."""
    height, width, channels = pixels.shape
    tags = [  # number, type (3: 16 bits, 4: 32 bits), count, value or place
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1 if channels == 2 else 2),
        (273, 4, 1, 0), (277, 3, 1, channels), (278, 4, 1, height), (279, 4, 1, pixels.size), (338, 3, 1, 2),
    ]  # fmt: skip
    begin = 8 + 2 + 12 * len(tags) + 4
    bits = begin + pixels.size
    tags[2] = (258, 3, channels, bits if channels > 2 else 8 | 8 << 16)
    tags[5] = (273, 4, 1, begin)
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    return (
        b"II*\0" + struct.pack("<I", 8) + directory + pixels.tobytes() + struct.pack(f"<{channels}H", *[8] * channels)
    )


def bomb(width: int, height: int) -> bytes:
    """A PNG file of a few bytes that says it holds ``width`` x ``height`` pixels."""
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )
