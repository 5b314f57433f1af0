"""The memory of one picture serves for the next.

A decoded picture is about half a megabyte. glibc gives blocks of that size back to the system as soon as they are
free, and the system clears every page of the next one: 1 to 5 % of the time that an image takes.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys

# From glibc's malloc.h; the names are those of mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
#: The largest that glibc takes. Blocks beyond it (a picture over 11 megapixels, whole) come from the system each time.
_MMAP_THRESHOLD = 32 << 20
#: What a thread's arena may hold unused.
_TRIM_THRESHOLD = 64 << 20


def keep_freed_memory() -> None:
    """Have glibc's malloc keep what is freed, for the whole process. Elsewhere than on glibc, nothing happens.

    Both thresholds are set: setting either one ends glibc's own adjusting of the two.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD)
