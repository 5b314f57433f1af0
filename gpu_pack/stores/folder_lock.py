"""A lock on a folder that ends with the process that holds it, however that process ends."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from gpu_pack.errors import OutputLockedError
from gpu_pack.stores.atomic_file import unwritable

#: What file systems without locks answer: running once at a time is then up to the user.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL)


class FolderLock:
    """Holds ``folder/lock`` from construction to `release`.

    Args:
        place: what it locks, for messages; None for the folder that ``folder`` is in.

    Attributes:
        names: of its files in the folder: the lock, and the number of the process that holds it.

    Raises:
        OutputLockedError: a living process holds it.
        OutputError: the lock file cannot be created.
    """

    names = ("lock", "lock.pid")

    def __init__(self, folder: Path, place: str | None = None) -> None:
        from filelock import FileLock, Timeout  # here: its import takes 30 ms

        self._folder = folder
        self._path, self._pid_path = (folder / name for name in self.names)
        self._lock = FileLock(self._path, thread_local=False)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise OutputLockedError(
                f"{place or folder.parent}: another gpu-pack run{self._owner()} is writing here: wait for it, or "
                "choose another output"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise unwritable(self._path, error) from error
        with contextlib.suppress(OSError):
            self._pid_path.write_text(str(os.getpid()))

    def release(self) -> None:
        """Release the lock. May be called again."""
        self._lock.release()

    def remove(self) -> None:
        """Release the lock, and remove its files and the folder if nothing else is in it."""
        if os.name == "nt":  # Windows removes no open file
            self.release()
        with contextlib.suppress(OSError):
            self._pid_path.unlink(missing_ok=True)
            self._path.unlink()
            self._folder.rmdir()
        self.release()

    def _owner(self) -> str:
        """`` (process 123)``, if the file that says so can be read."""
        with contextlib.suppress(OSError, ValueError):
            return f" (process {int(self._pid_path.read_text())})"
        return ""
