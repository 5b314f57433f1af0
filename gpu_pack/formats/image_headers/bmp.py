"""Windows bitmaps: BITMAPFILEHEADER and the DIB headers that follow it."""

from __future__ import annotations

import struct

from gpu_pack.formats.image_headers.model import Header, ImageError

_CORE_HEADER = 12
_COMPRESSIONS = {0: "none", 1: "RLE8", 2: "RLE4", 3: "bit fields", 6: "bit fields with alpha"}


def read(data: bytes) -> Header:
    """Size and depth of a bitmap."""
    if len(data) < 26:
        raise ImageError(f"a BMP cut short: it has only {len(data)} bytes", code="truncated")
    (kind,) = struct.unpack_from("<I", data, 14)
    if kind == _CORE_HEADER:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
    elif kind < 36 or len(data) < 54:
        raise ImageError(f"a damaged BMP: a header of {kind} bytes in a file of {len(data)}")
    else:
        width, height, _, bits = struct.unpack_from("<iiHH", data, 18)
    # A negative height means rows from the top down; a negative width means nothing.
    components = 4 if bits == 32 else 3 if bits > 8 else 1
    return Header("bmp", max(width, 0), abs(height), 1, components, 8, alpha=_has_alpha(data, kind))


def _has_alpha(data: bytes, kind: int) -> bool:
    """Whether the header has a mask for alpha; without one, the fourth byte of a pixel means nothing."""
    return kind >= 56 and data[30] in (3, 6) and data[66:70] not in (b"", bytes(4))


def check(data: bytes, header: Header) -> None:
    """Check that the pixels that the header promises lie within the file."""
    start, kind = struct.unpack_from("<II", data, 10)
    if kind == _CORE_HEADER:
        (bits,) = struct.unpack_from("<H", data, 24)
        compression = stated = 0
    else:
        bits, compression, stated = struct.unpack_from("<HII", data, 28)
    if compression not in _COMPRESSIONS:
        raise ImageError(f"a BMP of a kind that is not supported: compression {compression}", code="unsupported")
    run_length = compression in (1, 2)
    needed = stated if run_length else (header.width * bits + 31) // 32 * 4 * header.height
    # Writers disagree about the padding of the last row, which holds no pixel.
    slack = 0 if run_length else (-header.width * bits // 8) % 4
    if start + max(needed - slack, 1) > len(data):
        raise ImageError(
            f"a BMP cut short: its pixels go on to byte {start + needed}, the file has {len(data)}", code="truncated"
        )
