"""Images inside of local archives, read at their offsets."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

from gpu_pack.stores.members import changed, refuse_span, unpack
from gpu_pack.types import Container, Entry, Image, Rejected

_WILL_NEED = getattr(os, "POSIX_FADV_WILLNEED", None)


class OpenContainers:
    """The archives that one call of `read_many` has open.

    Args:
        open_file: opens a path; gives the descriptor.
        most: open at once.
    """

    def __init__(self, open_file: Callable[[str], int], most: int) -> None:
        self._open_file, self._most = open_file, most
        self._open: OrderedDict[Container, tuple[int, bool]] = OrderedDict()

    def announce(self, entry: Entry) -> None:
        """Advise the system to fetch an image."""
        place = entry.place
        assert place is not None
        if _WILL_NEED is not None:
            with suppress(OSError, ValueError):  # `read` says what is wrong; some file systems refuse advice
                descriptor, _ = self._descriptor(place.container)
                os.posix_fadvise(descriptor, place.offset, place.length, _WILL_NEED)

    def read(self, entry: Entry) -> Image | Rejected:
        """One image.

        Raises:
            OSError, ValueError: its archive cannot be opened or read.
        """
        place = entry.place
        assert place is not None
        if refused := refuse_span(entry):
            return refused
        descriptor, same = self._descriptor(place.container)
        return (
            unpack(entry, read_at(descriptor, place.offset, place.length)) if same else changed(entry, place.container)
        )

    def close(self) -> None:
        """Close them."""
        for descriptor, _ in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def _descriptor(self, container: Container) -> tuple[int, bool]:
        """Of an open archive, and whether it still is the one that was listed."""
        found = self._open.get(container)
        if found is None:
            if len(self._open) == self._most:
                os.close(self._open.popitem(last=False)[1][0])
            descriptor = self._open_file(container.path)
            status = os.fstat(descriptor)
            found = descriptor, (status.st_size, status.st_mtime_ns) == (container.size, container.version)
            self._open[container] = found
        return found


def read_at(descriptor: int, offset: int, length: int) -> bytes:
    """Up to ``length`` bytes at ``offset``; fewer only at the end of the file."""
    pieces = []
    while length and (piece := _pread(descriptor, length, offset)):
        pieces.append(piece)
        offset += len(piece)
        length -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _seek_and_read(descriptor: int, length: int, offset: int) -> bytes:
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, length)


_pread: Callable[[int, int, int], bytes] = getattr(os, "pread", _seek_and_read)
