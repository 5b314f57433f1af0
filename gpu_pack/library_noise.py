"""Keeps off the terminal what libjpeg, libpng and libtiff print there past Python and OpenCV.

They warn of oddities in files that they read all the same, without saying which file, thousands of lines for pictures
from the web, in the midst of the progress bar. What is wrong with an image stands in rejects.jsonl, by name. Anything
else that native code prints is handed on.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

#: How their lines begin.
_NOISE = (
    b"Corrupt JPEG data",
    b"Premature end of JPEG",
    b"Invalid SOS parameters",
    b"Inconsistent progression sequence",
    b"Unknown Adobe color transform",
    b"Warning: unknown JFIF",
    b"libpng warning",
    b"libpng error",
    b"TIFF",
    b"JPEGLib",
    b"LZWDecode",
    b"PixarLog",
    b"ZIPDecode",
    b"Fax3Decode",
    b"Fax4Decode",
    b"OJPEG",
)


@contextlib.contextmanager
def without_library_noise() -> Iterator[None]:
    """Filter standard error's descriptor; Python's own ``sys.stderr`` keeps writing where it did, unfiltered."""
    try:
        terminal = os.dup(2)
        readable, writable = os.pipe()
    except OSError:  # no standard error at all, or no descriptors left: then there is nothing to keep clean
        yield
        return
    before = sys.stderr
    before.flush()
    reader = threading.Thread(target=_forward, args=(readable, terminal), name="stderr", daemon=True)
    with open(os.dup(terminal), "w", encoding=before.encoding, errors="backslashreplace", buffering=1) as direct:
        os.dup2(writable, 2)
        os.close(writable)
        reader.start()
        sys.stderr = direct
        try:
            yield
        finally:
            sys.stderr = before
            os.dup2(terminal, 2)  # the pipe's last writer: the reader comes to its end
            reader.join(1)
    os.close(terminal)


def _forward(source: int, target: int) -> None:
    """Copy lines that are no noise, until all writers are gone."""
    with open(source, "rb") as lines:
        for line in lines:
            if not line.startswith(_NOISE):
                with contextlib.suppress(OSError):
                    os.write(target, line)
