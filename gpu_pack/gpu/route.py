"""Which decoder gets a picture: a fixed rule on its key, so that its bytes do not depend on the batch it comes in.

JPEG engines and CUDA decode with slightly different pixels. A run that is resumed, or has other batches or processes,
sends each picture to the same one of them.
"""

from __future__ import annotations

_WORD = (1 << 64) - 1


def on_engines(key: int, load: float) -> bool:
    """Whether JPEG engines decode the picture with this key, 0 <= key < 2**64; otherwise CUDA does.

    So it is for the share ``load`` of all keys, from 0 for none to 1 for all. Keys that engines decode at some load
    they also decode at every higher one.
    """
    return _mix(key) < load * 2.0**64


def _mix(key: int) -> int:
    """A bijection of 64-bit words that leaves no pattern in successive keys.

    It is the first output of splitmix64 with the seed ``key`` (Steele, Lea and Flood, "Fast splittable pseudorandom
    number generators", 2014, with the constants of Vigna's splitmix64.c).
    """
    word = (key + 0x9E3779B97F4A7C15) & _WORD
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _WORD
    return word ^ (word >> 31)
