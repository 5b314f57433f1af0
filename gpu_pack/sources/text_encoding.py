"""In which encoding a text is, by its first bytes."""

from __future__ import annotations

import codecs

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
DEFAULT = "utf-8-sig"


def text_encoding(head: bytes) -> str:
    """UTF-16 and UTF-32 by their marks, and UTF-16 without one by every other byte of its first two letters.

    Args:
        head: the first four bytes.
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    zeros = [byte == 0 for byte in head[:4]]
    if zeros in ([True, False, True, False], [False, True, False, True]):
        return "utf-16-be" if zeros[0] else "utf-16-le"
    return DEFAULT
