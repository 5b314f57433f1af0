"""WebP (RFC 9649): a RIFF container around a VP8, VP8L or VP8X chunk."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from gpu_pack.formats.image_headers.exif import orientation as exif_orientation
from gpu_pack.formats.image_headers.model import Header, ImageError

_HEADER_BYTES = 30
_PICTURES = (b"VP8 ", b"VP8L", b"ANMF")


def read(data: bytes) -> Header:
    """Size of a WebP from its first chunk, orientation from its EXIF chunk (which OpenCV 4.10 does not apply)."""
    kind = data[12:16]
    if kind == b"VP8L" and len(data) >= 25:
        return _lossless(data)
    if len(data) < _HEADER_BYTES:
        raise ImageError(f"a WebP cut short: it has only {len(data)} bytes", code="truncated")
    if kind == b"VP8 ":
        if data[23:26] != b"\x9d\x01\x2a":
            raise ImageError("a damaged WebP: its VP8 frame has no start code")
        width, height = struct.unpack_from("<HH", data, 26)
        return Header("webp", width & 0x3FFF, height & 0x3FFF)
    if kind == b"VP8X":
        flags = data[20]
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
        turned = _orientation(data) if flags & 0x08 else 1
        alpha = bool(flags & 0x10)
        pages = max(1, sum(kind == b"ANMF" for kind, _, _ in _chunks(data))) if flags & 0x02 else 1
        return Header("webp", width, height, turned, 4 if alpha else 3, alpha=alpha, pages=pages)
    raise ImageError(f"a damaged WebP: it begins with a chunk {kind!r}")


def check(data: bytes, header: Header) -> None:
    """Check that the file is as long as its RIFF header says, and that it has a picture chunk."""
    (stated,) = struct.unpack_from("<I", data, 4)
    if stated + 8 > len(data):
        raise ImageError(f"a WebP cut short: it has {len(data)} of {stated + 8} bytes", code="truncated")
    for kind, _, end in _chunks(data):
        if kind in _PICTURES:
            if end > len(data):
                raise ImageError(
                    f"a WebP cut short: its picture goes on to byte {end}, the file has {len(data)}", code="truncated"
                )
            return
    raise ImageError("a damaged WebP: it has no picture data")


def _lossless(data: bytes) -> Header:
    if data[20] != 0x2F:
        raise ImageError("a damaged WebP: its VP8L stream has no signature")
    bits = int.from_bytes(data[21:25], "little")
    alpha = bool(bits >> 28 & 1)
    return Header("webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, 1, 4 if alpha else 3, alpha=alpha)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(name, first byte, end) of the contents of each chunk; the end may lie outside."""
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        yield kind, position + 8, position + 8 + length
        position += 8 + length + (length & 1)


def _orientation(data: bytes) -> int:
    for kind, start, end in _chunks(data):
        if kind == b"EXIF":
            return exif_orientation(data[start:end])
    return 1
