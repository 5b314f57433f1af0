"""Pictures with transparent pixels or 16 bits: what create does about them, and what it notes.

OpenCV drops alpha and the lower 8 of 16 bits without a word. What it gives is kept where nothing else is asked for.
"""

from __future__ import annotations

import cv2
import numpy as np

from cpu_fallback.decode import decode
from cpu_fallback.resample import Pixels
from gpu_pack.formats.image_headers import Header, png
from gpu_pack.types import TransformSpec

_DEEP = 16
_WHITE = 65535


def decode_noting(data: bytes, header: Header, spec: TransformSpec) -> tuple[Pixels, tuple[str, ...]]:
    """The upright pixels of a picture, and the codes of notices about it.

    Args:
        header: what `gpu_pack.formats.image_headers.examine` gave for ``data``; of no JPEG.

    Raises:
        ImageError: see `decode`.
    """
    if not header.alpha and header.precision != _DEEP:
        return decode(data, header, spec.color), ()
    full = decode(data, header, "unchanged")
    colour, alpha = _parted(full, data, header)
    deep = full.dtype == np.uint16 and header.precision == _DEEP
    bits = used_bits(colour) if deep else 0
    whole = spec.color == "unchanged" and spec.encoding == "png"  # alpha and depth are stored
    notices = []
    unread = header.alpha and header.format == "tiff" and full.ndim == 2  # OpenCV does not give gray TIFFs' alpha
    if unread or (alpha is not None and spec.background is None and not whole):
        notices.append("alpha-dropped")
    if deep and spec.depth == "keep" and 0 < bits < _DEEP and not whole:
        notices.append("depth-unused")
    stretch = deep and spec.depth == "scale"
    ground = spec.background if alpha is not None else None
    if stretch:
        colour = stretched(colour, _stretch_bits(bits, header, spec))
    if alpha is not None and ground is not None:
        colour = _laid(colour, alpha, ground, header.premultiplied)
    if not stretch and ground is None:
        stored = full if spec.background is None else colour  # under a background, no picture keeps an alpha channel
        plain = stored if spec.color == "unchanged" else _as_decoded(colour, data, header, spec)
        return _eight_bits(plain) if deep and not whole else plain, tuple(notices)
    if spec.background is None and whole and full.ndim == 3 and full.shape[2] == 4:
        return np.dstack((colour, full[..., 3])), tuple(notices)
    if not whole:
        colour = _eight_bits(colour)
    return _coloured(colour, spec), tuple(notices)


def used_bits(colour: Pixels) -> int:
    """The bits that the largest value of a 16-bit picture takes; 0 if it is black."""
    return int(colour.max(initial=0)).bit_length()


def deep_bits(data: bytes, header: Header) -> int:
    """The bits that a picture's largest value takes if it has 16 bits and does not state itself how many it uses.

    0 for others.

    Raises:
        ImageError: see `decode`.
    """
    if header.precision != _DEEP:
        return 0
    full = decode(data, header, "unchanged")
    if full.dtype != np.uint16:
        return 0
    bits = used_bits(_parted(full, data, header)[0])
    return 0 if _states_bits(header) else bits


def stretched(colour: Pixels, bits: int) -> Pixels:
    """16-bit pixels that use ``bits`` of them, scaled to use all."""
    if not 0 < bits < _DEEP:
        return colour
    table = np.minimum(np.arange(_WHITE + 1, dtype=np.uint64) * _WHITE // ((1 << bits) - 1), _WHITE)
    return table.astype(np.uint16)[colour]


def _stretch_bits(bits: int, header: Header, spec: TransformSpec) -> int:
    """The bits that the values take: by the file's own statement, or else by the set's factor."""
    if _states_bits(header):  # PNG wants such values to be scaled up already, which many writers leave out
        return header.significant if bits <= header.significant else _DEEP
    return spec.depth_bits or bits


def _states_bits(header: Header) -> bool:
    return 0 < header.significant < _DEEP


def _parted(full: Pixels, data: bytes, header: Header) -> tuple[Pixels, Pixels | None]:
    """The colour of unchanged pixels, and their alpha; None where every pixel is opaque."""
    most = np.iinfo(full.dtype).max if full.dtype.kind == "u" else 1
    if not header.alpha:
        return full, None
    if full.ndim == 3 and full.shape[2] == 4:
        colour, alpha = cv2.cvtColor(full, cv2.COLOR_BGRA2BGR), cv2.extractChannel(full, 3)
    elif header.format == "png" and (key := png.transparent_colour(data)) is not None:  # which OpenCV does not apply
        colour, depth = full, min(header.precision, 8) if header.precision != _DEEP else _DEEP
        wanted = [value * most // ((1 << depth) - 1) for value in key[::-1]]
        same = full == np.array(wanted, full.dtype) if full.ndim == 3 else full == wanted[0]
        alpha = np.where(same.all(axis=2) if same.ndim == 3 else same, 0, most).astype(full.dtype)
    else:
        return full, None
    return colour, alpha if (alpha < most).any() else None


def _as_decoded(colour: Pixels, data: bytes, header: Header, spec: TransformSpec) -> Pixels:
    """What `decode` gives for ``spec.color``; a second decode only where OpenCV would convert in its own way."""
    if spec.color == "rgb" and header.format in ("png", "webp"):
        return _three(_eight_bits(colour))
    return decode(data, header, spec.color)


def _laid(colour: Pixels, alpha: Pixels, background: str, premultiplied: bool) -> Pixels:
    """Pixels on a background of one colour, height x width x 3."""
    most = np.iinfo(colour.dtype).max
    ground = np.array([*bytes.fromhex(background[1:])][::-1], np.float32) * (most / 255)  # OpenCV's order: BGR
    share = (alpha.astype(np.float32) / most)[..., None]
    laid = _three(colour) * (1 if premultiplied else share) + ground * (1 - share)
    return np.rint(laid).astype(colour.dtype)


def _three(colour: Pixels) -> Pixels:
    return colour if colour.ndim == 3 else cv2.cvtColor(colour, cv2.COLOR_GRAY2BGR)


def _eight_bits(pixels: Pixels) -> Pixels:
    return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels


def _coloured(colour: Pixels, spec: TransformSpec) -> Pixels:
    """With the channels that the result has."""
    if spec.color == "gray" and colour.ndim == 3:
        return cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY)
    return _three(colour) if spec.color == "rgb" else colour
