"""Headers of image files, read in pure Python: a few microseconds an image.

`read_header` runs for every image before it is decoded, so that decompression bombs are refused and crop boxes are
known. `check_complete` finds truncation and damage in the file's structure, which decoders ignore: OpenCV's imread
gives a part-grey picture for a JPEG cut short. Both accept any bytes, and return or raise `ImageError` in linear time,
as do ``read`` and ``check`` of each format's module.
"""

from __future__ import annotations

from gpu_pack.formats.image_headers import bmp, jpeg, others, png, tiff, webp
from gpu_pack.formats.image_headers.model import Header, ImageError
from gpu_pack.formats.image_headers.signature import describe, sniff

__all__ = ["Header", "ImageError", "check_complete", "examine", "read_header", "sniff", "too_large"]

_READERS = {"jpeg": jpeg.read, "png": png.read, "webp": webp.read, "bmp": bmp.read, "tiff": tiff.read}
_CHECKS = {"jpeg": jpeg.check, "png": png.check, "webp": webp.check, "bmp": bmp.check, "tiff": tiff.check}
SUPPORTED = tuple(_READERS)
#: What a reject of another format advises.
CONVERT = f"convert it to {', '.join(SUPPORTED[:-1])} or {SUPPORTED[-1]}"


def read_header(data: bytes) -> Header:
    """The header of an encoded image.

    Raises:
        ImageError: empty or unknown contents, a format that is not supported, a malformed header, a size of zero.
    """
    name = sniff(data)
    reader = _READERS.get(name) if name else None
    if reader is None:
        raise _not_readable(data, name)
    header = reader(data)
    if header.width < 1 or header.height < 1:
        raise ImageError(f"its header says {header.width} x {header.height} pixels: there is no picture in it")
    return header


def check_complete(data: bytes, header: Header) -> None:
    """Check that the file's structure is complete: its end is there, and no chunk points outside it.

    Damage inside compressed data is found only by checksums (PNG) and by markers out of place (JPEG: `check_scan`).

    Args:
        header: what `read_header` gave for the same bytes.

    Raises:
        ImageError: what is missing or damaged.
    """
    _CHECKS[header.format](data, header)


def examine(data: bytes, max_pixels: int, *, unchecked_others: bool = False, others_too: bool = False) -> Header:
    """The header of an encoded image, checked: complete, and with at most ``max_pixels`` pixels.

    Args:
        unchecked_others: accept formats that are known by name only, unchecked; their header says 0 x 0 pixels.
        others_too: accept them, checked as far as `others` can; their header may say 0 x 0 pixels.

    Raises:
        ImageError: see `read_header` and `check_complete`; or too many pixels.
    """
    if (unchecked_others or others_too) and (name := sniff(data)) is not None and name not in _READERS:
        header = Header(name, 0, 0) if unchecked_others else others.read(data, name)
    else:
        header = read_header(data)
        check_complete(data, header)
    width, height = header.upright_size
    if width * height > max_pixels:
        raise too_large(width, height, max_pixels)
    return header


def too_large(width: int, height: int, max_pixels: int) -> ImageError:
    """The error for a picture with too many pixels."""
    return ImageError(f"it holds {width} x {height} pixels, more than the {max_pixels} allowed", code="too-large")


def _not_readable(data: bytes, name: str | None) -> ImageError:
    if not data:
        return ImageError("the file is empty", code="empty")
    if name is None:
        return ImageError(f"not an image: it begins with {describe(data)}", code="not-image")
    return ImageError(f"{name} is not supported: {CONVERT}", code="unsupported")
