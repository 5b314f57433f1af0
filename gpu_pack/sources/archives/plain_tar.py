"""Tars that can be read at offsets: as they lie, or decompressed once into the spool."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from gpu_pack.sources.archives.compression import Decompressed, ForwardFile, compression_of
from gpu_pack.sources.archives.tar_search import ReadAt
from gpu_pack.sources.archives.tar_walk import TarMember
from gpu_pack.sources.open_source import SourceFiles
from gpu_pack.sources.spool import Spool, as_container
from gpu_pack.stores.local import LocalStore
from gpu_pack.stores.store import Store
from gpu_pack.types import Container, Place

#: The disk's room is looked at each time that so much was spooled.
_STEP_BYTES = 64 << 20


class PlainTar(NamedTuple):
    """A tar, or one inside of it.

    Attributes:
        shown: what the shown paths of its members begin with.
        version: of the file that the user named.
        read_at: reads up to so many bytes at an offset.
        start, end: where it lies in what is read; an end of None is where reading ends.
        container: what is read, for places; None where it is only listed.
        stream: what it was decompressed from.
        forward: what is read, where that is a stream.
    """

    shown: str
    version: int
    read_at: ReadAt
    start: int
    end: int | None
    container: Container | None
    stream: Decompressed | None = None
    forward: ForwardFile | None = None

    def place(self, offset: int, size: int) -> Place | None:
        """Of bytes in it."""
        return None if self.container is None else Place(self.container, offset, size)


@contextmanager
def open_plain(store: Store, path: str, spool: Spool) -> Iterator[PlainTar]:
    """A tar of a store; a compressed one is spooled first, or read as a stream in a dry run.

    Raises:
        SourceError: it cannot be read or decompressed.
        OutputError: there is no room to spool it.
    """
    with store.open(path) as file:
        size, version = file.stat
        plain = PlainTar(path, version, file.read_at, 0, size, Container(path, size, version))
        with _decompressed(plain, spool) as tar:
            yield tar


@contextmanager
def open_inner(tar: PlainTar, member: TarMember, path: str, spool: Spool) -> Iterator[PlainTar]:
    """A tar that is a member of another one; see `open_plain`."""
    end = member.offset + member.size
    if tar.end is not None:
        end = min(end, tar.end)
    inner = tar._replace(shown=f"{tar.shown}!/{path}", start=member.offset, end=end, stream=None, forward=None)
    with _decompressed(inner, spool) as opened:
        yield opened


def reserve(files: SourceFiles, spool: Spool) -> None:
    """Raise `OutputError` unless the disk has room for the compressed ones among all archives."""
    if spool.dry:
        return
    needed = 0
    for path in files.paths:
        with files.store.open(path) as file:
            if compression_of(file.read_at(0, 6)):
                needed += Decompressed(path, file.read_at, 0, file.stat.size).estimated_size()
    if needed:
        spool.reserve(needed, files.source)


@contextmanager
def _decompressed(tar: PlainTar, spool: Spool) -> Iterator[PlainTar]:
    assert tar.end is not None
    if compression_of(tar.read_at(tar.start, min(6, tar.end - tar.start))) is None:
        yield tar
        return
    stream = Decompressed(tar.shown, tar.read_at, tar.start, tar.end)
    if spool.dry:
        forward = ForwardFile(iter(stream))
        yield tar._replace(read_at=forward.read_at, start=0, end=None, container=None, stream=stream, forward=forward)
        return
    with spool.create(tar.shown.rpartition("/")[2]) as copy:
        due = 0
        for piece in stream:
            if copy.size >= due:
                spool.reserve(_STEP_BYTES, tar.shown)
                due += _STEP_BYTES
            copy.append(piece)
    container = as_container(copy.path)
    with LocalStore("").open(container.path) as file:
        yield tar._replace(read_at=file.read_at, start=0, end=container.size, container=container, stream=stream)
