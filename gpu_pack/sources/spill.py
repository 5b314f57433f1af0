"""Temporary files for what is too large for memory: without a name, so that nothing is left of a run that is killed."""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable
from typing import Any

from gpu_pack.console import human_size
from gpu_pack.errors import SourceError

#: Left free on the disk.
_RESERVE_BYTES = 256 << 20


class SpillFile:
    """A temporary file that grows, and that is read as memory.

    Windows removes it with its last handle; elsewhere it has no name from the start.

    Args:
        free: tells how many bytes are free on the disk of a folder.

    Attributes:
        size: in bytes.

    Raises:
        SourceError: it cannot be made.
    """

    def __init__(self, free: Callable[[str], int] = lambda folder: shutil.disk_usage(folder).free) -> None:
        self.size, self._folder, self._free = 0, folder_of_large_files(), free
        try:
            self._file: Any = tempfile.TemporaryFile(dir=self._folder, prefix="gpu-pack-", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise self._fault(error.strerror or str(error)) from error
        weakref.finalize(self, self._file.close)

    def append(self, data: memoryview) -> None:
        """Add bytes at the end.

        Raises:
            SourceError: the disk is full, or nearly, or failed.
        """
        free = self._free(self._folder)
        if free < data.nbytes + _RESERVE_BYTES:
            raise self._fault(f"{human_size(free)} are free")
        rest = data.cast("B")
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise self._fault(error.strerror or str(error)) from error
        self.size += data.nbytes

    def map(self) -> memoryview:
        """All bytes so far; the system reads them when they are used, and may drop them again."""
        if not self.size:
            return memoryview(b"")
        return memoryview(mmap.mmap(self._file.fileno(), self.size, access=mmap.ACCESS_READ))

    def _fault(self, reason: str) -> SourceError:
        return SourceError(
            f"{self._folder}: no room for the list of images, which is too long for memory ({reason}; a million images "
            "take about 100 MB): free some, or set TMPDIR to a folder on another disk"
        )


def folder_of_large_files() -> str:
    """Where TMPDIR, TEMP or TMP say, else /var/tmp, which lies on a disk where /tmp may be memory."""
    named = any(os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    return "/var/tmp" if not named and os.access("/var/tmp", os.W_OK) else tempfile.gettempdir()
