"""Files below one folder and nowhere else, whatever lies there already."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from gpu_pack.errors import OutputError, OutputExistsError

#: Windows: a junction or a symbolic link.
_REPARSE_POINT = 0x400


class Folder:
    """A folder that files are written below, and never outside of, whatever lies in it already."""

    def __init__(self, path: Path, overwrite: bool) -> None:
        self.path = path
        self._overwrite = overwrite
        self._sound: set[str] = set()
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{path}: cannot be made: {error.strerror or error}") from error

    def write(self, parts: list[str], data: bytes) -> None:
        """A file below the folder; ``parts`` are safe.

        Raises:
            OutputExistsError: it is there.
            OutputError: it cannot be written, or a link stands where a folder should be.
        """
        parent = self._parent(parts[:-1])
        path = parent / parts[-1]
        try:
            try:
                _create(path, data)
            except FileExistsError:
                if not self._overwrite or stat.S_ISDIR(os.lstat(path).st_mode):
                    raise
                fresh = parent / f".{parts[-1]}.partial"
                fresh.unlink(missing_ok=True)
                _create(fresh, data)
                fresh.replace(path)
        except FileExistsError:
            raise OutputExistsError(f"{path} is there already: choose another folder, or give --overwrite") from None
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error

    def _parent(self, parts: list[str]) -> Path:
        """The folder of these parts, made if need be; every step of it must be a real folder and no link."""
        folder = self.path
        for part in parts:
            folder = folder / part
            if str(folder) in self._sound:
                continue
            try:
                with contextlib.suppress(FileExistsError):
                    folder.mkdir()
                status = os.lstat(folder)
            except OSError as error:
                raise OutputError(f"{folder}: cannot be made: {error.strerror or error}") from error
            if not stat.S_ISDIR(status.st_mode) or getattr(status, "st_file_attributes", 0) & _REPARSE_POINT:
                raise OutputError(f"{folder}: a link or a file stands where a folder should be: choose another folder")
            self._sound.add(str(folder))
        return folder


def _create(path: Path, data: bytes) -> None:
    """A new file, never through a link; nothing half-written stays."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
