"""Several stores as one: each has the paths that begin with its prefix."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from gpu_pack.stores.joined_ahead import JoinedAhead
from gpu_pack.stores.store import OpenFile, Stat, Store, StoreItem
from gpu_pack.types import Entry, Image, Rejected


@dataclass(frozen=True)
class JoinedStore:
    """A `gpu_pack.stores.store.Store` over several.

    Attributes:
        parts: prefixes with their stores, the longest that fits first; the rest of a path is the store's own.
        root: of all; prefixes are paths as users write them.
    """

    parts: tuple[tuple[str, Store], ...]
    root: str = ""

    def ahead(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """See `Store.ahead`."""
        stores = [partial(_ahead, prefix, store) for prefix, store in self.parts]
        return JoinedAhead(entries, lambda entry: self._number(_file(entry)), [*stores]).run()

    def read_many(self, entries: Iterable[Entry]) -> Generator[Image | Rejected, None, None]:
        """See `Store.read_many`. All of ``entries`` are taken first."""
        asked = list(entries)
        numbers = [self._number(_file(entry)) for entry in asked]
        found = []
        for number, (prefix, store) in enumerate(self.parts):
            own = [_within(entry, prefix) for entry, part in zip(asked, numbers, strict=True) if part == number]
            found.append(iter(store.read_many(own)) if own else iter(()))
        for entry, number in zip(asked, numbers, strict=True):
            item = next(found[number])
            if isinstance(item, Rejected) and entry.place is not None:
                path = entry.place.container.path  # reasons name it as its store does
                item = item._replace(reason=item.reason.replace(path[len(self.parts[number][0]) :], path, 1))
            yield item._replace(entry=entry)

    def stat(self, path: str) -> Stat:
        """See `Store.stat`."""
        prefix, store = self._part(path)
        return store.stat(path[len(prefix) :])

    def open(self, path: str) -> OpenFile:
        """See `Store.open`."""
        prefix, store = self._part(path)
        return store.open(path[len(prefix) :])

    def local_path(self, path: str) -> str | None:
        """See `Store.local_path`."""
        prefix, store = self._part(path)
        return store.local_path(path[len(prefix) :])

    def list(self, folder: str) -> Sequence[StoreItem]:
        """See `Store.list`."""
        prefix, store = self._part(folder)
        return store.list(folder[len(prefix) :])

    def write(self, path: str, data: bytes) -> None:
        """See `Store.write`."""
        prefix, store = self._part(path)
        store.write(path[len(prefix) :], data)

    def _part(self, path: str) -> tuple[str, Store]:
        return self.parts[self._number(path)]

    def _number(self, path: str) -> int:
        for number, (prefix, _) in enumerate(self.parts):
            if path.startswith(prefix):
                return number
        raise ValueError(f"{path!r} is in none of the stores")


def _ahead(prefix: str, store: Store, entries: Iterable[Entry]) -> Iterator[Entry]:
    return store.ahead(_within(entry, prefix) for entry in entries)


def _file(entry: Entry) -> str:
    return entry.path if entry.place is None else entry.place.container.path


def _within(entry: Entry, prefix: str) -> Entry:
    """An entry as the store of a prefix knows it."""
    if entry.place is None:
        return entry._replace(path=entry.path[len(prefix) :])
    container = entry.place.container
    return entry._replace(place=entry.place._replace(container=container._replace(path=container.path[len(prefix) :])))
