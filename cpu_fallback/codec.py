"""One image on the CPU: decode, crop, resize, encode. Pure functions: bytes and options in, bytes out.

With ``interp="linear"`` the result is byte-identical to im2rec.py's (``unchanged``: under ``other_formats`` only).
With ``antialias``, JPEGs much larger than the result are decoded at 1/2, 1/4 or 1/8 scale, which libjpeg does in the
DCT, in half the time.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2

from cpu_fallback.blemishes import explained
from cpu_fallback.decode import MIRRORED_X, MIRRORED_Y, decode
from cpu_fallback.depth_and_alpha import decode_noting
from cpu_fallback.opencv import image_error
from cpu_fallback.resample import Pixels, antialias, antialias_window, linear
from gpu_pack.formats.image_headers import Header, ImageError, examine, too_large
from gpu_pack.geometry import CropResize, crop_resize
from gpu_pack.types import MAX_EDGE, TransformSpec

#: A decode at reduced scale must leave this much to shrink: below it, the full decode is nearer to the triangular
#: filter (measured against it: 1.4 leaves 40 dB and more in the mean, 1.0 only 36).
_LEAST_REMAINING_SHRINK = 1.4


class Result(NamedTuple):
    """An encoded picture, its size in pixels, notice codes, and the size of the upright picture before the crop."""

    data: bytes
    width: int
    height: int
    notices: tuple[str, ...]
    source: tuple[int, int]


def transform(data: bytes, spec: TransformSpec) -> Result:
    """An image file's bytes as ``spec`` wants them.

    Raises:
        ImageError: whatever is wrong with the image, with its stage and a reason.
    """
    data, header, notices = _examined(data, spec)
    # Of formats that `examine` knows by name only, the decoder tells the size.
    intended = _checked_sizes(*header.upright_size, spec) if header.width else None
    reduction = _reduction(header, intended, spec) if intended else 1
    pixels, noted = _decoded(data, header, reduction, spec)
    source = header.upright_size if reduction > 1 else (pixels.shape[1], pixels.shape[0])
    try:
        if intended and reduction > 1:
            window = _window(header, intended, reduction)
            pixels = antialias_window(pixels, window, intended.width, intended.height)
        else:
            pixels = _resized(pixels, header, intended, spec)
    except (cv2.error, MemoryError) as error:
        raise image_error(error, f"resize {pixels.dtype} pixels", "resize") from None
    return Result(_encode(pixels, spec), pixels.shape[1], pixels.shape[0], (*notices, *noted), source)


def _examined(data: bytes, spec: TransformSpec) -> tuple[bytes, Header, tuple[str, ...]]:
    """The file, its checked header, and notices about them. A missing end marker of a whole JPEG is added."""
    try:
        header = examine(data, spec.max_pixels, unchecked_others=spec.other_formats, others_too=spec.formats == "any")
    except ImageError as error:
        if spec.other_formats:
            raise
        return *explained(data, error, spec), ("blemish-kept",)
    return data, header, ("more-pages",) if header.pages > 1 and not spec.other_formats else ()


def _decoded(data: bytes, header: Header, reduction: int, spec: TransformSpec) -> tuple[Pixels, tuple[str, ...]]:
    """The pixels, and notices about them."""
    if spec.other_formats:
        return decode(data, header, spec.color, reduction, as_imread=True), ()
    if header.format != "jpeg":
        return decode_noting(data, header, spec)
    try:
        return decode(data, header, spec.color, reduction), ()
    except ImageError as error:
        if error.code != "blemished":
            raise
        if spec.damage != "keep":
            raise ImageError(f"{error.reason}: --damage keep packs it", code=error.code) from None
    return decode(data, header, spec.color, reduction, lenient=True), ("blemish-kept",)


def _resized(pixels: Pixels, header: Header, intended: CropResize | None, spec: TransformSpec) -> Pixels:
    """A picture decoded at full scale (height x width [x channels]), cropped and resized."""
    height, width = pixels.shape[:2]
    if intended is None or (width, height) != header.upright_size:
        # Its size was not known before, or im2rec's imread did not turn it.
        if width * height > spec.max_pixels:
            raise too_large(width, height, spec.max_pixels)
        intended = _checked_sizes(width, height, spec)
    x, y, box_width, box_height, out_width, out_height = intended
    part = pixels[y : y + box_height, x : x + box_width]
    return (linear if spec.interp == "linear" else antialias)(part, out_width, out_height)


def _reduction(header: Header, intended: CropResize, spec: TransformSpec) -> int:
    """The scale 1, 1/2, 1/4 or 1/8 to decode at, as its denominator."""
    if spec.interp == "linear" or header.format != "jpeg" or spec.color == "unchanged":
        return 1
    shrink = min(intended.box_width, intended.box_height) / min(intended.width, intended.height)
    return next((scale for scale in (8, 4, 2) if shrink >= scale * _LEAST_REMAINING_SHRINK), 1)


def _window(header: Header, intended: CropResize, reduction: int) -> tuple[float, float, float, float]:
    """The crop box (x, y, width, height) in pixels of the upright picture decoded at reduced scale.

    The reduced size is rounded up: the last column and row reach beyond the stored picture's right and bottom
    edges, which the orientation may have turned to the left and the top.
    """
    width, height = header.upright_size
    beyond_x = -width % reduction if header.orientation in MIRRORED_X else 0
    beyond_y = -height % reduction if header.orientation in MIRRORED_Y else 0
    x, y = (intended.x + beyond_x) / reduction, (intended.y + beyond_y) / reduction
    return x, y, intended.box_width / reduction, intended.box_height / reduction


def _encode(pixels: Pixels, spec: TransformSpec) -> bytes:
    """A baseline JPEG, 4:2:0 (OpenCV's default), or a PNG."""
    parameter = cv2.IMWRITE_JPEG_QUALITY if spec.encoding == "jpg" else cv2.IMWRITE_PNG_COMPRESSION
    try:
        done, encoded = cv2.imencode("." + spec.encoding, pixels, (parameter, spec.quality))
    except (cv2.error, MemoryError) as error:
        raise image_error(error, f"encode {pixels.dtype} pixels as {spec.encoding}", "encode") from None
    if not done:
        raise ImageError(f"OpenCV cannot encode {pixels.dtype} pixels as {spec.encoding}", "encode", "not-encoded")
    return encoded.tobytes()


def _checked_sizes(width: int, height: int, spec: TransformSpec) -> CropResize:
    """The crop box and the final size of an upright picture.

    Raises:
        ImageError: the result would have too many pixels, or edges that no JPEG can have.
    """
    intended = crop_resize(width, height, spec)
    size = f"{intended.width} x {intended.height}"
    if intended.width * intended.height > spec.max_pixels:
        raise ImageError(
            f"resized, it would hold {size} pixels, more than the {spec.max_pixels} allowed", "resize", "too-large"
        )
    if max(intended.width, intended.height) > MAX_EDGE and spec.encoding == "jpg":
        words = f"its result of {size} pixels is larger than a JPEG can be ({MAX_EDGE} an edge)"
        raise ImageError(f"{words}: crop it or encode to png", "encode", "too-large")
    return intended
