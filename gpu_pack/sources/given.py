"""Images that a caller gives in Python: an iterable of ``(path or bytes, label)``, or of dicts.

It is read once. Bytes go to the spool as they come, so that memory holds the listing alone and the whole set can be
shuffled and divided; paths are read where they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple

from gpu_pack.errors import SourceError, UsageError
from gpu_pack.sources.found import Facts, Found
from gpu_pack.sources.given_item import GivenItem, check_items
from gpu_pack.sources.open_source import OpenSource
from gpu_pack.sources.spool import Spool, SpoolFile, as_container
from gpu_pack.stores.local import LocalStore
from gpu_pack.stores.store import Stat
from gpu_pack.types import Container, Place

#: A file of the spool is finished, and its images are listed, with the image that reaches one of these.
_FILE_BYTES, _FILE_IMAGES = 1 << 30, 65_536


@dataclass(frozen=True)
class GivenImages:
    """What the caller gave.

    Attributes:
        images: an iterable, or a sequence that knows its length.
        file_bytes: of a file of the spool.
    """

    images: Any
    file_bytes: int = _FILE_BYTES

    def __str__(self) -> str:
        return "images"

    def __iter__(self) -> Iterator[Any]:
        images = self.images
        if hasattr(images, "__iter__"):
            return iter(images)
        if hasattr(images, "__len__") and hasattr(images, "__getitem__"):  # PyTorch's datasets need not stop
            return (images[number] for number in range(len(images)))
        raise UsageError(
            f"images={images!r}: give a path, a list of paths, or an iterable of (path or bytes, label) or dicts"
        )


class _Spooled(NamedTuple):
    """An image whose bytes, if it was given as bytes, are written: from ``offset`` on in the spool's file."""

    item: GivenItem
    stat: Stat
    offset: int


def open_given(given: GivenImages, spool: Spool) -> OpenSource:
    """The images of an iterable, in its order. Paths start from the working folder."""
    store = LocalStore("")
    return OpenSource(store, _find(given, store, spool), Facts(str(given)))


def _find(given: GivenImages, store: LocalStore, spool: Spool) -> Iterator[Found]:
    """All images.

    Raises:
        UsageError: an item that is no image with a label.
        SourceError: there are none.
        Exception: whatever the iterable raises.
    """
    items = check_items(given)
    found = False
    while part := _spool_some(items, store, spool, given.file_bytes):
        found = True
        images, container = part
        for item, stat, offset in images:
            place = Place(container, offset, stat.size) if container is not None and item.data is not None else None
            yield Found(item.path, stat, item.label, place, item.split, item.key)
    if not found:
        raise SourceError(f"{given}: the iterable yields nothing; a generator that was read before is empty")


def _spool_some(
    items: Iterator[GivenItem], store: LocalStore, spool: Spool, file_bytes: int
) -> tuple[list[_Spooled], Container | None] | None:
    """The next images, with the file that the bytes of some are in; None at the end."""
    found: list[_Spooled] = []
    file: SpoolFile | None = None
    with ExitStack() as stack:
        for item in items:
            stat, offset = store.stat(item.path) if item.data is None else _stat(item.data), 0
            if item.data is not None and not spool.dry:
                spool.reserve(len(item.data), item.path)
                file = file or stack.enter_context(spool.create("images"))
                offset = file.append(item.data)
            found.append(_Spooled(item if item.data is None else item._replace(data=b""), stat, offset))
            if len(found) == _FILE_IMAGES or (file is not None and file.size >= file_bytes):
                break
    return (found, as_container(file.path) if file is not None else None) if found else None


def _stat(data: bytes) -> Stat:
    """Other bytes are another version: a resumed run tells what changed."""
    import xxhash  # here: no other source needs it

    return Stat(len(data), xxhash.xxh3_64_intdigest(data) >> 1)
