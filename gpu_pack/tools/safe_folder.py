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

        A file that is there with the same bytes stays: an extract that was interrupted can be run again.

        Raises:
            OutputExistsError: another file is there.
            OutputError: it cannot be written, or a link stands where a folder should be.
        """
        parent = self._parent(parts[:-1])
        path = parent / parts[-1]
        try:
            try:
                _create(path, data)
            except FileExistsError:
                if _holds(path, data):
                    return
                if not self._overwrite or stat.S_ISDIR(os.lstat(path).st_mode):
                    raise
                _write_beside(path, data).replace(path)
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
    """A new file, whole or not at all, never through a link.

    Raises:
        FileExistsError: something of that name is there.
    """
    if os.path.lexists(path):
        raise FileExistsError(path)
    fresh = _write_beside(path, data)
    try:
        os.link(fresh, path)
    except FileExistsError:
        raise
    except (OSError, AttributeError):  # a file system without hard links; nobody else writes here, or it is theirs
        fresh.rename(path)
        return
    finally:
        fresh.unlink(missing_ok=True)


def _write_beside(path: Path, data: bytes) -> Path:
    """The bytes in a file beside ``path``, in the place of what a killed run may have left there."""
    fresh = path.with_name(f".{path.name}.partial")
    fresh.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(fresh, flags, 0o666)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    return fresh


def _holds(path: Path, data: bytes) -> bool:
    """Whether a plain file holds exactly these bytes."""
    status = os.lstat(path)
    return stat.S_ISREG(status.st_mode) and status.st_size == len(data) and path.read_bytes() == data
