"""A lock on a folder that a dead process cannot leave behind.

The system's own file locks (flock, or Windows' byte locks) end with the process that holds them, however it ends.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path

from gpu_pack.errors import OutputLockedError
from gpu_pack.stores.atomic_file import unwritable

_BUSY = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)


class FolderLock:
    """Holds ``folder/lock`` from construction to `release`.

    Raises:
        OutputLockedError: a living process holds it.
        OutputError: the lock file cannot be made.
    """

    name = "lock"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / self.name
        try:
            self._descriptor: int | None = self._acquire()
        except OSError as error:
            raise unwritable(self._path, error) from error

    def _acquire(self) -> int:
        while True:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                _lock(descriptor)
            except OSError as error:
                owner = _owner(descriptor)
                os.close(descriptor)
                if error.errno in _BUSY:
                    raise OutputLockedError(
                        f"{self._folder.parent}: another gpu-pack run{owner} is writing here: wait for it, or choose "
                        "another output"
                    ) from None
                if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL):
                    # A file system without locks: one run at a time is then up to the user.
                    return os.open(self._path, os.O_RDWR)
                raise
            if self._is_current(descriptor):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"\0{os.getpid()}".encode())
                return descriptor
            os.close(descriptor)  # its last holder removed the file between our opening and locking it

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Let go. May be called again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def remove(self) -> None:
        """Let go, and take the lock file and its folder away if that is all there is."""
        if os.name == "nt":  # an open file cannot be removed there
            self.release()
        with contextlib.suppress(OSError):
            self._path.unlink()
            self._folder.rmdir()
        self.release()


def _owner(descriptor: int) -> str:
    """`` (process 123)``, as far as its lock file can be read."""
    with contextlib.suppress(OSError, ValueError):
        os.lseek(descriptor, 1, os.SEEK_SET)  # byte 0 is what Windows locks
        return f" (process {int(os.read(descriptor, 20))})"
    return ""


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
