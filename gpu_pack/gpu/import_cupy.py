"""Imports CuPy, also where the home folder cannot be written."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Any


def import_cupy() -> Any:
    """The module. Its import makes a folder for compiled kernels, by default in the home folder.

    Raises:
        ImportError: it is not installed.
    """
    if "CUPY_CACHE_DIR" not in os.environ and not _default_is_writable():
        os.environ["CUPY_CACHE_DIR"] = str(temporary_cache(Path(tempfile.gettempdir())))
    import cupy

    return cupy


def temporary_cache(folder: Path) -> Path:
    """This user's folder for compiled kernels in ``folder``; a new one each time where its name is another user's.

    CuPy runs what it finds there, so nobody else may write into it.
    """
    user = os.geteuid()
    path = folder / f"gpu-pack-kernels-{user}"
    with contextlib.suppress(FileExistsError):
        path.mkdir(0o700)
    found = path.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == user and not found.st_mode & 0o022:
        return path
    return Path(tempfile.mkdtemp(prefix="gpu-pack-kernels-", dir=folder))


def _default_is_writable() -> bool:
    try:
        folder = Path("~/.cupy/kernel_cache").expanduser()
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: the user has no home folder
        return False
    return os.access(folder, os.W_OK)
