"""Files that are complete and on the disk when a function here returns, and the message where they cannot be."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_pack.errors import OutputError

if TYPE_CHECKING:
    from gpu_pack.stores.data_path import DataPath

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_READ_BYTES = 8 << 20


def write_atomically(path: Path, data: bytes | Iterable[bytes | memoryview]) -> None:
    """Create or replace a file in one step and sync it: ``path`` has the old bytes or the new ones.

    Args:
        path: of the file.
        data: its contents, whole or in pieces.

    Raises:
        OutputError: the disk is full or failed; the old bytes stay.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.writelines([data] if isinstance(data, bytes) else data)
            file.flush()
            sync_file(file.fileno())
        partial.replace(path)
        sync_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError):
            raise unwritable(path, error) from error
        raise


def cut_file(path: Path, size: int) -> None:
    """Truncate a file to ``size`` bytes and sync it; a missing file is not created.

    Raises:
        OutputError: the disk failed.
    """
    if not path.exists():
        return
    try:
        with path.open("r+b") as file:
            file.truncate(size)
            sync_file(file.fileno())
    except OSError as error:
        raise unwritable(path, error) from error


def sync_file(descriptor: int) -> None:
    """Write a file's bytes and size to the disk; its times may follow later."""
    getattr(os, "fdatasync", os.fsync)(descriptor)


def sync_folder(path: Path) -> None:
    """Make renames in a folder durable, where the system has such a call (Windows has none)."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unwritable(path: Path, error: OSError) -> OutputError:
    """The error for a write that failed."""
    if error.errno in _FULL:
        return OutputError(f"{path}: no space left on the disk: free some, then run the same command again to resume")
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return OutputError(f"{path}: no permission to write there")
    return OutputError(f"{path}: cannot be written: {error.strerror or error}")


def hash_file(path: DataPath) -> str:
    """The sha256 of a whole file, in hexadecimal."""
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            sha256.update(block)
    return sha256.hexdigest()
