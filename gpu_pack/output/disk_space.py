"""How much room a disk has."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

#: Gives the free bytes on the disk of a folder, which need not exist yet.
FreeBytes = Callable[[Path], int]


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk of a folder, which need not exist yet."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
