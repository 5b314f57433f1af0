"""Resizing of decoded pixels: OpenCV's bilinear sampling, with a low-pass filter before it when it shrinks.

``antialias`` comes close to the triangular filter (Pillow's BILINEAR, DALI's triangular) for half the time of
INTER_AREA. Bilinear sampling is that filter for a shrink of 1; for a shrink of r it lacks width, which a 3-tap
kernel [a, 1-2a, a] in both directions adds. At r = 2, a = 1/4 makes the two together exactly the triangular filter's
[1, 3, 3, 1] / 8; elsewhere the best a was measured on photographs and is met within 0.3 dB by (r-1)(7-r)/20.
Above `_THREE_TAPS_REACH`, INTER_AREA first shrinks to twice the size that is wanted.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[Any]

#: Where the 3-tap kernel stops being as good as a shrink by INTER_AREA to twice the size (measured: 46 dB both).
_THREE_TAPS_REACH = 2.3
#: a after INTER_AREA, which has filtered a little already; measured best between a shrink of 2.3 and 10.
_SIDE_TAP_AFTER_AREA = 0.18
#: Below this a, the kernel rounds to nothing in 8 bits.
_LEAST_SIDE_TAP = 0.002


def linear(pixels: Pixels, width: int, height: int) -> Pixels:
    """im2rec's resize: ``pixels`` (height x width [x channels]) to ``width`` x ``height`` by INTER_LINEAR."""
    if pixels.shape[:2] == (height, width):
        return pixels
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)


def antialias(pixels: Pixels, width: int, height: int) -> Pixels:
    """``pixels`` (height x width [x channels]) to ``width`` x ``height``, filtered where that shrinks."""
    shrink = min(pixels.shape[:2]) / min(width, height)
    if shrink <= 1:
        return linear(pixels, width, height)
    return linear(_low_pass(pixels, shrink, width, height), width, height)


def antialias_window(pixels: Pixels, window: tuple[float, float, float, float], width: int, height: int) -> Pixels:
    """A part of ``pixels`` whose edges lie between pixels, to ``width`` x ``height``.

    A decode at reduced scale is such a case: an edge of the crop box seldom falls on a multiple of eight, and
    rounding it would move the picture by up to half a pixel (10 dB in the comparison with the full decode).

    Args:
        window: (x, y, width, height) in pixels of ``pixels``, measured between pixel edges.
    """
    x, y, across, down = window
    left, top = int(x), int(y)
    part = pixels[top : math.ceil(y + down), left : math.ceil(x + across)]
    part_height, part_width = part.shape[:2]
    part = _low_pass(part, min(across / width, down / height), width, height)
    # INTER_AREA may have shrunk the part already: from here on, in its pixels.
    fit_x, fit_y = part.shape[1] / part_width, part.shape[0] / part_height
    step_x, step_y = across / width * fit_x, down / height * fit_y
    # The centre of pixel 0 lies at 0.5 between pixel edges, hence the halves.
    start_x, start_y = (x - left) * fit_x + step_x / 2 - 0.5, (y - top) * fit_y + step_y / 2 - 0.5
    matrix = np.array([[step_x, 0, start_x], [0, step_y, start_y]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(part, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _low_pass(pixels: Pixels, shrink: float, width: int, height: int) -> Pixels:
    """``pixels`` ready for bilinear sampling to ``width`` x ``height``."""
    side_tap = (shrink - 1) * (7 - shrink) / 20
    if shrink > _THREE_TAPS_REACH:
        pixels = cv2.resize(pixels, (2 * width, 2 * height), interpolation=cv2.INTER_AREA)
        side_tap = _SIDE_TAP_AFTER_AREA
    if side_tap < _LEAST_SIDE_TAP:
        return pixels
    # A Gaussian of 3 taps is any symmetric kernel of 3 taps, and OpenCV's fastest.
    sigma = math.sqrt(-0.5 / math.log(side_tap / (1 - 2 * side_tap)))
    return cv2.GaussianBlur(pixels, (3, 3), sigma, borderType=cv2.BORDER_REPLICATE)
