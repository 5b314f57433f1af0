"""Every error that gpu-pack raises on purpose, as one tree.

GpuPackError                 exit 1   caught only by the outermost function of the command line
├── UsageError               exit 2   options or arguments that cannot be right (also a ValueError)
├── SourceError              exit 1   there is nothing sensible to pack: no folder, no images, clashing classes
│   └── ListError            exit 1   a .lst line that does not parse, named as path:line
├── FormatError              exit 1   a malformed .rec, .idx or header, named as path and offset (also a ValueError)
├── OutputError              exit 1   the output cannot be written: full, read-only, not ours
│   ├── OutputExistsError    exit 1   a finished run, or another one's pieces, are already there
│   └── OutputLockedError    exit 1   a living run is writing there
├── StrictError              exit 1   the first bad image under --strict
└── BackendError             exit 1   a device or a worker that broke, or that was never usable

A bad *image* is no error but a value: `gpu_pack.types.Rejected`. Ctrl-C stays KeyboardInterrupt (exit 130).
"""

from __future__ import annotations


class GpuPackError(Exception):
    """Base of every deliberate error. The message is one sentence or two: what, where, what to do."""

    exit_code = 1


class UsageError(GpuPackError, ValueError):
    """Options or arguments that contradict each other or lie out of range."""

    exit_code = 2


class SourceError(GpuPackError):
    """The source holds nothing that can be packed as asked."""


class ListError(SourceError):
    """A line of a .lst file that cannot be used; the message starts with ``path:line``."""


class FormatError(GpuPackError, ValueError):
    """Bytes that are not the RecordIO, index or image record that they claim to be.

    Attributes:
        path: the file, or None for bytes in memory.
        offset: where the faulty part begins, in bytes, or None.
    """

    def __init__(self, message: str, path: str | None = None, offset: int | None = None) -> None:
        self.reason = message
        self.path = path
        self.offset = offset
        where = "".join(
            part
            for part in (
                f"{path}: " if path is not None else "",
                f"at byte {offset}: " if offset is not None else "",
            )
        )
        super().__init__(where + message)

    def __reduce__(self) -> tuple[type[FormatError], tuple[str, str | None, int | None]]:
        return type(self), (self.reason, self.path, self.offset)


class OutputError(GpuPackError):
    """The output folder or a file in it cannot be written."""


class OutputExistsError(OutputError):
    """The output is already there and ``overwrite`` was not asked for."""


class OutputLockedError(OutputError):
    """Another living run holds the output folder."""


class StrictError(GpuPackError):
    """A bad image under ``strict``."""


class BackendError(GpuPackError):
    """A device or worker that broke in mid-run, or that cannot be used at all."""
