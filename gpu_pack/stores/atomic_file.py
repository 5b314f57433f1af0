"""Files that are whole and on the disk once a function here returns, and the one sentence where they cannot be."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_pack.errors import OutputError

if TYPE_CHECKING:
    from typing_extensions import Buffer

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_READ_BYTES = 8 << 20


class HashingFile(io.RawIOBase):
    """A raw file that hashes what is written to it, and syncs when it is closed; without a path it only hashes."""

    def __init__(self, path: Path | None) -> None:
        self.sha256 = hashlib.sha256()
        self._file = open(path, "wb", buffering=0) if path is not None else None  # noqa: SIM115

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        view = memoryview(data)
        count = self._file.write(view) if self._file is not None else len(view)
        self.sha256.update(view[:count])
        return count

    def close(self) -> None:
        if not self.closed and self._file is not None:
            with self._file:
                sync_file(self._file.fileno())
        super().close()


def write_durably(path: Path, data: bytes) -> None:
    """Create or replace a small file, and sync it.

    Raises:
        OutputError: the disk is full, or failed.
    """
    try:
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            sync_file(file.fileno())
    except OSError as error:
        raise unwritable(path, error) from error


def cut_file(path: Path, size: int) -> None:
    """Cut a file to ``size`` bytes, and sync it; one that is not there stays so.

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
    """Bytes and length on the disk; times may lag."""
    getattr(os, "fdatasync", os.fsync)(descriptor)


def sync_folder(path: Path) -> None:
    """Make renames in a folder durable, where the system has such a thing (Windows has not)."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unwritable(path: Path, error: OSError) -> OutputError:
    """The one sentence about a write that failed."""
    if error.errno in _FULL:
        return OutputError(
            f"{path}: no space left on the disk: free some, then run the same command again; it goes on from here"
        )
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return OutputError(f"{path}: no permission to write there")
    return OutputError(f"{path}: cannot be written: {error.strerror or error}")


def hash_file(path: Path) -> str:
    """The sha256 of a whole file, in hexadecimal."""
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            sha256.update(block)
    return sha256.hexdigest()
