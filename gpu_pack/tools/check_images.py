"""One record's image: whole, decodable, and of the size that the options promise."""

from __future__ import annotations

import threading

from cpu_fallback.decode import decode
from gpu_pack.formats.image_headers import SUPPORTED, Header, ImageError, check_complete, examine, read_header, sniff
from gpu_pack.formats.image_headers.scan import check_scan
from gpu_pack.types import DEFAULT_MAX_PIXELS, HARD_MAX_PIXELS, TransformSpec

#: Pictures beyond this many pixels are decoded one at a time, whatever the number of threads.
_LARGE = 16 << 20
_large = threading.Lock()
_FORMATS = {"jpg": "jpeg", "png": "png"}


def check_image(data: bytes, spec: TransformSpec | None, decode: bool) -> str | None:
    """What is wrong with an encoded image, in words, or None.

    Args:
        data: the record's image.
        spec: what the manifest's options promise; None where nobody does.
        decode: decode every pixel, and not only look at the structure.
    """
    kept = spec is not None and spec.damage == "keep"
    try:
        header = _header(data, spec)
        check_scan(data, header)
    except ImageError as error:
        return f"the image is damaged: {error.reason}"
    if wrong := promised(header, spec):
        return wrong
    limit = DEFAULT_MAX_PIXELS if spec is None else max(spec.max_pixels, DEFAULT_MAX_PIXELS)
    if header.width * header.height > limit:
        return f"the image claims {header.width} x {header.height} pixels, and over {limit} are not decoded"
    return _decode(data, header, kept) if decode else None


def _header(data: bytes, spec: TransformSpec | None) -> Header:
    """The header of a whole image."""
    if spec is not None and spec.pass_through and spec.formats == "any" and sniff(data) not in SUPPORTED:
        return examine(data, HARD_MAX_PIXELS, others_too=True)
    header = read_header(data)
    check_complete(data, header)
    return header


def promised(header: Header, spec: TransformSpec | None) -> str | None:
    """How an image differs from what the options promise, or None."""
    if spec is None or spec.pass_through:
        return None
    if header.format != _FORMATS[spec.encoding]:
        return f"the image is {header.format}, and the manifest promises {spec.encoding}"
    channels = {"rgb": 3, "gray": 1}.get(spec.color, header.components)
    if header.components != channels:
        return f"the image has {header.components} channels, and the manifest promises {channels}"
    width, height = header.width, header.height
    if spec.crop and width != height:
        return f"the image is {width} x {height}, and the manifest promises squares"
    short = min(width, height)
    if spec.size is not None and (short > spec.size or (short < spec.size and spec.upscale)):
        wanted = f"{spec.size} x {spec.size}" if spec.crop else f"a shorter edge of {spec.size}"
        return f"the image is {width} x {height}, and the manifest promises {wanted}"
    return None


def _decode(data: bytes, header: Header, kept: bool) -> str | None:
    if header.width * header.height > _LARGE:
        with _large:
            return _decode_now(data, header, kept)
    return _decode_now(data, header, kept)


def _decode_now(data: bytes, header: Header, kept: bool) -> str | None:
    try:
        height, width = decode(data, header, "unchanged", lenient=kept).shape[:2]
    except ImageError as error:
        return f"the image cannot be decoded: {error.reason}"
    if header.width and (width, height) not in ((header.width, header.height), header.upright_size):
        return f"the image decodes to {width} x {height} pixels, and its header says {header.width} x {header.height}"
    return None
