"""Every error that leaves gpu-pack, as one tree.

GpuPackError                 exit 1   the command line turns it into its exit status, verify into a fault
├── UsageError               exit 2   options or arguments that cannot be right (also a ValueError)
├── SourceError              exit 1   nothing can be packed as asked: no folder, no images, clashing classes
│   └── ListError            exit 1   a .lst line that cannot be parsed, named as path:line
├── FormatError              exit 1   a malformed .rec, .idx or header, named as path and offset (also a ValueError)
├── OutputError              exit 1   the output cannot be written: disk full, read-only, another's files
│   ├── OutputExistsError    exit 1   a finished run, or parts of another run, are already there
│   └── OutputLockedError    exit 1   another process is writing there
├── StrictError              exit 1   the first bad image under --strict
└── BackendError             exit 1   a device or a worker that broke, or that cannot be used

A bad *image* is no error but a value, `gpu_pack.types.Rejected`. Ctrl-C stays KeyboardInterrupt (exit 130). Reading
from a path that the caller gave may also raise OSError.

Exceptions of other classes are internal; the packages that raise them turn them into a value or into one of the above:

ImageError           an image that cannot be read or decoded: becomes a `Rejected`
ProcessEndedError    a worker's process ended: the batch is tried again, then a `Rejected` or a BackendError
DriverError          a call of the CUDA driver failed: becomes the reason why no GPU is used
ObjectError          a request to an object store failed: becomes a `Rejected`, a SourceError or an OutputError
ZstdError            compressed data that is damaged: becomes a warning, or a `Rejected`
PoolStoppedError     ends the threads of `verify` when one of them fails, whose own error is raised
"""

from __future__ import annotations


class GpuPackError(Exception):
    """Base of the tree. The message is one sentence or two: what, where, what to do."""

    exit_code = 1


class UsageError(GpuPackError, ValueError):
    """Options or arguments that contradict each other or lie out of range."""

    exit_code = 2


class SourceError(GpuPackError):
    """Nothing in the source can be packed as asked."""


class ListError(SourceError):
    """A line of a .lst file that cannot be used; the message starts with ``path:line``."""


class FormatError(GpuPackError, ValueError):
    """Bytes that are no RecordIO, index or image record.

    Attributes:
        path: the file, or None for bytes in memory.
        offset: where the fault begins, in bytes, or None.
        reason: the message without the two.
    """

    def __init__(self, message: str, path: str | None = None, offset: int | None = None) -> None:
        self.reason = message
        self.path = path
        self.offset = offset
        where = f"{path}: " if path is not None else ""
        super().__init__(f"{where}at byte {offset}: {message}" if offset is not None else where + message)

    def __reduce__(self) -> tuple[type[FormatError], tuple[str, str | None, int | None]]:
        return type(self), (self.reason, self.path, self.offset)


class OutputError(GpuPackError):
    """The output folder or a file in it cannot be written."""


class OutputExistsError(OutputError):
    """The output is already there, and ``overwrite`` is not given."""


class OutputLockedError(OutputError):
    """Another process is writing into the output folder."""


class StrictError(GpuPackError):
    """A bad image under ``strict``."""


class BackendError(GpuPackError):
    """A device or worker that broke during a run, or that cannot be used."""


def told(name: str, value: object) -> str:
    """A parameter as a Python caller and a command-line user both know it: ``size=224 (--size)``."""
    flag = name.replace("_", "-")
    return f"{name}={value} (--{'no-' if value is False else ''}{flag})"
