"""How a picture looks, in 33 bytes: a perceptual hash, and whether it is black, white, blank, blurred or tiny.

The hash is the signs of 256 frequencies of a 32 x 32 gray picture (its discrete cosine transform), lowest first: they
stay when a picture is encoded again, resized or made brighter, and few of them change when its edges are cut off.

The thresholds were set on 250 different photographs, cropped to 224 and encoded with quality 95.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gpu_pack.formats.image_headers import ImageError, examine
from gpu_pack.types import DEFAULT_MAX_PIXELS

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

#: What a picture can be; each is the first of these that fits.
FINE, UNREADABLE, BLACK, WHITE, BLANK, BLURRED, TINY = range(7)

#: Pictures are judged with a shorter edge of at most this: larger ones are decoded at a reduced scale.
EDGE = 112
#: Nearly black (white): this share of the pixels is at most 20 (at least 235) of 255. Digits and drawings, of which a
#: stroke covers some percents, are not; the photographs' 98th percentile is 115 or more, their 2nd 130 or less.
SHARE, DARK, LIGHT = 0.98, 20, 235
#: Blank: a standard deviation below 3 of 255, which is JPEG's own noise; the photographs have 19 or more.
FLAT = 3.0
#: Very blurred: a variance of the Laplacian below 20, and below 3 % of the variance of the picture, which a dark one
#: keeps. The photographs have 38 and 3 % or more; blurred by a Gaussian of 2 % of the edge they have at most 34, and 95
#: of 100 of them at most 17 and 1.4 %.
UNSHARP, UNSHARP_SHARE = 20.0, 0.03
#: Smaller pictures are not called blurred: there, every pixel counts.
LEAST_SHARP_EDGE = 64
#: The side of the hashed picture, and the frequencies that are looked at in each direction. Tiny pictures, with a
#: shorter edge than it, are copies only where their bytes are the same: two handwritten ones look alike anyway.
_SIDE, _FREQUENCIES = 32, 22


def look_at(images: Sequence[bytes]) -> tuple[Array, Array]:
    """Hashes (N x 4, uint64, lowest frequencies first) and kinds (N, uint8) of encoded images."""
    import numpy as np

    kinds = np.full(len(images), UNREADABLE, np.uint8)
    small = np.zeros((len(images), _SIDE, _SIDE), np.float32)
    for row, data in enumerate(images):
        gray = _decode(data)
        if gray is not None:
            kinds[row] = _kind(gray)
            small[row] = _resize(gray, (_SIDE, _SIDE))
    return _hashes(small), kinds


def _decode(data: bytes) -> Array | None:
    """Height x width, uint8, with a shorter edge of at most `EDGE`; None for what cannot be decoded."""
    from cpu_fallback.decode import decode

    try:
        header = examine(data, DEFAULT_MAX_PIXELS, others_too=True)
        short = min(header.width, header.height)
        reduction = next(scale for scale in (8, 4, 2, 1) if short >= scale * EDGE or scale == 1)
        gray: Array = decode(data, header, "gray", reduction if header.format == "jpeg" else 1, lenient=True)
    except ImageError:
        return None
    height, width = gray.shape
    scale = min(height, width) / EDGE
    return _resize(gray, (max(1, round(width / scale)), max(1, round(height / scale)))) if scale > 1 else gray


def _resize(gray: Array, size: tuple[int, int]) -> Array:
    import cv2

    return cv2.resize(gray, size, interpolation=cv2.INTER_AREA)


def _kind(gray: Array) -> int:
    import cv2
    import numpy as np

    mean, deviation = (float(value[0][0]) for value in cv2.meanStdDev(gray))
    # Pixels are only counted where the mean allows so many dark or light ones.
    if mean <= DARK * SHARE + 255 * (1 - SHARE) and np.count_nonzero(gray <= DARK) >= SHARE * gray.size:
        return BLACK
    if mean >= LIGHT * SHARE and np.count_nonzero(gray >= LIGHT) >= SHARE * gray.size:
        return WHITE
    variance = deviation**2
    if variance < FLAT**2:
        return BLANK
    if min(gray.shape) < _SIDE:
        return TINY
    sharpness = _variance(cv2.Laplacian(gray, cv2.CV_16S))
    blurred = sharpness < min(UNSHARP, UNSHARP_SHARE * variance) and min(gray.shape) >= LEAST_SHARP_EDGE
    return BLURRED if blurred else FINE


def _variance(pixels: Array) -> float:
    import cv2

    return float(cv2.meanStdDev(pixels)[1][0][0]) ** 2


def _hashes(small: Array) -> Array:
    import numpy as np

    cosines, rows, columns = _transform()
    frequencies = cosines @ small @ cosines.T
    bits = np.packbits(frequencies[:, rows, columns] > 0, axis=1)
    return np.ascontiguousarray(bits).view(np.uint64)


@lru_cache(1)
def _transform() -> tuple[Array, Array, Array]:
    """The cosines, and the places of 256 frequencies besides the mean, lowest first."""
    import numpy as np

    place = np.arange(_SIDE)
    cosines = np.cos(np.pi * (2 * place[None] + 1) * np.arange(_FREQUENCIES)[:, None] / (2 * _SIDE))
    pairs = [(row, column) for row in range(_FREQUENCIES) for column in range(_FREQUENCIES)]
    lowest = sorted(pairs, key=lambda pair: (sum(pair), pair))[1:257]
    rows, columns = np.array(lowest).T
    return cosines.astype(np.float32), rows, columns
