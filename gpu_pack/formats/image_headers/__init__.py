"""What an image file is, from its bytes alone: pure Python, a few microseconds an image.

`read_header` runs for every image before any decoder sees it, so that a decompression bomb is refused before it is
decoded and crop boxes are known beforehand. `check_complete` then looks for truncation and damage in the structure
of the file, which decoders pass over: OpenCV's imread gives a part-grey picture for a JPEG cut short.

Both take any bytes whatever and either answer or raise `ImageError`, in time linear in the number of bytes.
"""

from __future__ import annotations

from gpu_pack.formats.image_headers import bmp, jpeg, png, tiff, webp
from gpu_pack.formats.image_headers.model import Header, ImageError
from gpu_pack.formats.image_headers.signature import describe, sniff

__all__ = ["Header", "ImageError", "check_complete", "examine", "examine_in_place", "read_header", "sniff", "too_large"]

_READERS = {"jpeg": jpeg.read, "png": png.read, "webp": webp.read, "bmp": bmp.read, "tiff": tiff.read}
_CHECKS = {"jpeg": jpeg.check, "png": png.check, "webp": webp.check, "bmp": bmp.check, "tiff": tiff.check}
SUPPORTED = tuple(_READERS)


def read_header(data: bytes) -> Header:
    """The header of an encoded image.

    Raises:
        ImageError: empty or unknown contents, a format that is not supported, a malformed header, a size of zero.
    """
    name = sniff(data)
    reader = _READERS.get(name) if name else None
    if reader is None:
        raise ImageError(_why_not(data, name))
    header = reader(data)
    if header.width < 1 or header.height < 1:
        raise ImageError(f"its header says {header.width} x {header.height} pixels: there is no picture in it")
    return header


def check_complete(data: bytes, header: Header) -> None:
    """Pass if the file's structure is whole: nothing cut off its end, no chunk that points outside it.

    Damage inside compressed data shows only where the format carries checksums (PNG) or where it leaves marks.

    Args:
        header: what `read_header` gave for the same bytes.

    Raises:
        ImageError: what is missing or damaged.
    """
    _CHECKS[header.format](data, header)


def examine(data: bytes, max_pixels: int, others: bool = False) -> Header:
    """The header of an encoded image that is whole and no larger than allowed: all that is asked before decoding.

    Args:
        max_pixels: what the picture may decode to.
        others: let formats pass unexamined that are known by name only; their header says 0 x 0 pixels.

    Raises:
        ImageError: see `read_header` and `check_complete`; or more pixels than that.
    """
    if others and (name := sniff(data)) is not None and name not in _READERS:
        return Header(name, 0, 0)
    header = read_header(data)
    check_complete(data, header)
    return _within(max_pixels, header)


def examine_in_place(data: memoryview, max_pixels: int, others: bool = False) -> Header:
    """What `examine` gives, without taking the bytes out of their buffer if they are a JPEG as most are."""
    if data[:3] == jpeg.SIGNATURE:
        header = jpeg.read(data)
        if header.width and header.height and jpeg.ends_well(data, header):
            return _within(max_pixels, header)
    return examine(bytes(data), max_pixels, others)


def _within(max_pixels: int, header: Header) -> Header:
    width, height = header.upright_size
    if width * height > max_pixels:
        raise too_large(width, height, max_pixels)
    return header


def too_large(width: int, height: int, max_pixels: int) -> ImageError:
    """The one sentence about a picture of too many pixels."""
    return ImageError(f"it holds {width} x {height} pixels, more than the {max_pixels} allowed")


def _why_not(data: bytes, name: str | None) -> str:
    if not data:
        return "the file is empty"
    if name is None:
        return f"not an image: it begins with {describe(data)}"
    return f"{name} is not supported: convert it to {', '.join(SUPPORTED[:-1])} or {SUPPORTED[-1]}"
