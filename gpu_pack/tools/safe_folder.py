"""Writes files below one folder and never outside of it, whatever the folder holds."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from gpu_pack.errors import OutputError, OutputExistsError

#: Windows: a junction or a symbolic link.
_REPARSE_POINT = 0x400


class SafeFolder:
    """A folder to write files below.

    Raises:
        OutputError: the folder cannot be made.
    """

    def __init__(self, path: Path, overwrite: bool) -> None:
        self.path = path
        self._overwrite = overwrite
        self._checked: set[str] = set()
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{path}: cannot be made: {error.strerror or error}") from error

    def write(self, parts: list[str], data: bytes) -> None:
        """Write a file at the path of ``parts`` (from `safe_parts`); one with the same bytes stays.

        Raises:
            OutputExistsError: another file is there.
            OutputError: it cannot be written, or a link is in the place of a folder.
        """
        path = self._parent(parts[:-1]) / parts[-1]
        try:
            if os.path.lexists(path):
                if _holds(path, data):
                    return
                if not self._overwrite or stat.S_ISDIR(os.lstat(path).st_mode):
                    raise OutputExistsError(f"{path} is there already: choose another folder, or give --overwrite")
            _replace(path, data)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error

    def _parent(self, parts: list[str]) -> Path:
        """The folder of these parts, made if needed; each of them must be a folder and no link."""
        folder = self.path
        for part in parts:
            folder = folder / part
            if str(folder) in self._checked:
                continue
            try:
                with contextlib.suppress(FileExistsError):
                    folder.mkdir()
                status = os.lstat(folder)
            except OSError as error:
                raise OutputError(f"{folder}: cannot be made: {error.strerror or error}") from error
            if not stat.S_ISDIR(status.st_mode) or getattr(status, "st_file_attributes", 0) & _REPARSE_POINT:
                raise OutputError(f"{folder}: a link or a file stands where a folder should be: choose another folder")
            self._checked.add(str(folder))
        return folder


def _replace(path: Path, data: bytes) -> None:
    """Create or replace a file in one step; a link at ``path`` is replaced, not followed."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)  # that a killed run may have left
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        with open(os.open(partial, flags, 0o666), "wb") as file:
            file.write(data)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _holds(path: Path, data: bytes) -> bool:
    """Whether ``path`` is a plain file of exactly these bytes."""
    status = os.lstat(path)
    return stat.S_ISREG(status.st_mode) and status.st_size == len(data) and path.read_bytes() == data
