"""One image through OpenCV: decode, crop, resize, encode. Pure functions: bytes and options in, bytes out.

With ``interp="linear"`` the result has im2rec.py's very bytes. With ``antialias``, JPEGs much larger than the result
are decoded at 1/2, 1/4 or 1/8 scale, which libjpeg does in the DCT, for a third of the time.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from cpu_fallback.jpeg_damage import MIRRORED_X, MIRRORED_Y, check_decoded, decode_jpeg
from cpu_fallback.resample import Pixels, antialias, antialias_window, linear
from gpu_pack.formats.image_headers import Header, ImageError, examine, png, too_large
from gpu_pack.geometry import Plan, plan
from gpu_pack.types import MAX_EDGE, Stage, TransformSpec

#: A decode at reduced scale must leave this much to shrink: below it, the full decode is nearer to the triangular
#: filter (measured against it: 1.4 leaves 40 dB and more in the mean, 1.0 only 36).
_LEAST_REMAINING_SHRINK = 1.4
#: By `TransformSpec.color` and the denominator of the scale.
_FLAGS = {
    "rgb": {
        1: cv2.IMREAD_COLOR,
        2: cv2.IMREAD_REDUCED_COLOR_2,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        8: cv2.IMREAD_REDUCED_COLOR_8,
    },
    "gray": {
        1: cv2.IMREAD_GRAYSCALE,
        2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
        4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
        8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
    },
    "unchanged": {1: cv2.IMREAD_UNCHANGED},
}


#: Of a picture whose size only its decoder knows.
_UNKNOWN = Plan(0, 0, 0, 0, 0, 0)


class Result(NamedTuple):
    """An encoded picture and its size in pixels."""

    data: bytes
    width: int
    height: int


class TransformJob(NamedTuple):
    """What is to be done with an image, settled before it is decoded.

    Attributes:
        header: of the encoded image.
        plan: the crop box and the final size.
        reduction: the scale to decode at, as its denominator: 1, 2, 4 or 8.
        flags: OpenCV's, to decode so.
    """

    header: Header
    plan: Plan
    reduction: int
    flags: int


def transform(data: bytes, spec: TransformSpec) -> Result:
    """An image file's bytes as ``spec`` wants them.

    Raises:
        ImageError: whatever is wrong with the image, with its stage and a reason.
    """
    return execute(data, prepare(data, spec), spec)


def prepare(data: bytes, spec: TransformSpec) -> TransformJob:
    """Examine an image without decoding it. The part of the work that is all Python.

    Raises:
        ImageError: it is no image, incomplete, or larger than ``spec`` allows.
    """
    header = examine(data, spec.max_pixels, spec.other_formats)
    if not header.width:
        return TransformJob(header, _UNKNOWN, 1, _FLAGS[spec.color][1])
    intended = plan(*header.upright_size, spec)
    _check_result(intended, spec)
    reduction = _reduction(header, intended, spec)
    return TransformJob(header, intended, reduction, _FLAGS[spec.color][reduction])


def execute(data: bytes, job: TransformJob, spec: TransformSpec) -> Result:
    """Do the job: decode, crop, resize, encode. The part of the work that is all OpenCV.

    Raises:
        ImageError: whatever goes wrong, with its stage and a reason.
    """
    pixels = _resized(data, job, spec)
    return Result(_encode(pixels, spec), pixels.shape[1], pixels.shape[0])


def _resized(data: bytes, job: TransformJob, spec: TransformSpec) -> Pixels:
    """The finished pixels, height x width [x channels], channels in OpenCV's order (BGR)."""
    header, intended, reduction, flags = job
    pixels = _decode(data, header, flags)
    height, width = pixels.shape[:2]
    upright = header.upright_size
    expected = upright if reduction == 1 else (-(-upright[0] // reduction), -(-upright[1] // reduction))
    if (width, height) != expected:
        header, intended = _corrected(header, width, height, reduction, spec)
    try:
        if reduction > 1:
            return antialias_window(pixels, _window(header, intended, reduction), intended.width, intended.height)
        x, y, box_width, box_height, out_width, out_height = intended
        part = pixels[y : y + box_height, x : x + box_width]
        return (linear if spec.interp == "linear" else antialias)(part, out_width, out_height)
    except (cv2.error, MemoryError) as error:
        raise _refused(error, f"resize {pixels.dtype} pixels", "resize") from None


def _corrected(header: Header, width: int, height: int, reduction: int, spec: TransformSpec) -> tuple[Header, Plan]:
    """Header and plan for a decoded picture of another size than the header said.

    OpenCV did not turn it (unchanged, or a WebP before OpenCV 5) or turned it by other rules (EXIF oddities in JPEGs
    before OpenCV 5), or nobody knew how large it would be.
    """
    if reduction > 1:
        header = header._replace(orientation=1 if header.orientation > 4 else 6)
        width, height = header.upright_size
    elif width * height > spec.max_pixels:
        raise too_large(width, height, spec.max_pixels)
    intended = plan(width, height, spec)
    _check_result(intended, spec)
    return header, intended


def _reduction(header: Header, intended: Plan, spec: TransformSpec) -> int:
    """The scale 1, 1/2, 1/4 or 1/8 to decode at, as its denominator."""
    if spec.interp == "linear" or header.format != "jpeg" or spec.color == "unchanged":
        return 1
    shrink = min(intended.box_width, intended.box_height) / min(intended.width, intended.height)
    return next((scale for scale in (8, 4, 2) if shrink >= scale * _LEAST_REMAINING_SHRINK), 1)


def _window(header: Header, intended: Plan, reduction: int) -> tuple[float, float, float, float]:
    """The crop box (x, y, width, height) in pixels of the upright picture decoded at reduced scale.

    The reduced size is rounded up: the last column and row reach beyond the stored picture's right and bottom
    edges, which the orientation may have turned to the left and the top.
    """
    width, height = header.upright_size
    beyond_x = -width % reduction if header.orientation in MIRRORED_X else 0
    beyond_y = -height % reduction if header.orientation in MIRRORED_Y else 0
    x, y = (intended.x + beyond_x) / reduction, (intended.y + beyond_y) / reduction
    return x, y, intended.box_width / reduction, intended.box_height / reduction


def _decode(data: bytes, header: Header, flags: int) -> Pixels:
    if header.format == "png":
        data = png.still(data)
    complaint = None
    try:
        if header.format == "jpeg":
            pixels, complaint = decode_jpeg(data, flags)
        else:
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except (cv2.error, MemoryError) as error:
        raise _refused(error, "decode it", "decode") from None
    if pixels is None:
        raise ImageError(f"OpenCV {cv2.__version__} cannot decode it: a damaged {header.format}, or a rare kind of it")
    if header.format == "jpeg":
        check_decoded(pixels, data, header, turned=flags != cv2.IMREAD_UNCHANGED)
    if complaint:
        raise ImageError(f"a damaged JPEG: {complaint}")
    return pixels


def _encode(pixels: Pixels, spec: TransformSpec) -> bytes:
    """A baseline JPEG, 4:2:0 (OpenCV's default), or a PNG."""
    parameter = cv2.IMWRITE_JPEG_QUALITY if spec.encoding == "jpg" else cv2.IMWRITE_PNG_COMPRESSION
    try:
        done, encoded = cv2.imencode("." + spec.encoding, pixels, (parameter, spec.quality))
    except (cv2.error, MemoryError) as error:
        raise _refused(error, f"encode {pixels.dtype} pixels as {spec.encoding}", "encode") from None
    if not done:
        raise ImageError(f"OpenCV cannot encode {pixels.dtype} pixels as {spec.encoding}", "encode")
    return encoded.tobytes()


def _check_result(intended: Plan, spec: TransformSpec) -> None:
    """Refuse results that no encoder takes, or that a lengthy picture would blow up to."""
    width, height = intended.width, intended.height
    if width * height > spec.max_pixels:
        raise ImageError(
            f"resized, it would hold {width} x {height} pixels, more than the {spec.max_pixels} allowed", "resize"
        )
    if (width > MAX_EDGE or height > MAX_EDGE) and spec.encoding == "jpg":
        raise ImageError(
            f"its result of {width} x {height} pixels is larger than a JPEG can be ({MAX_EDGE} an edge): "
            "crop it or encode to png",
            "encode",
        )


def _refused(error: Exception, verb: str, stage: Stage) -> ImageError:
    if isinstance(error, MemoryError):
        return ImageError(f"there is not enough memory to {verb}", stage)
    reason = " ".join(str(getattr(error, "err", None) or error).split())
    return ImageError(f"OpenCV {cv2.__version__} cannot {verb}: {reason}", stage)
