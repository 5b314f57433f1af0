"""What one machine spooled for a run, where all that pack it read it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gpu_pack.errors import OutputError, SourceError
from gpu_pack.stores.store import OpenFile, Stat, Store, StoreItem
from gpu_pack.types import Container, Entry, Image, Rejected

#: Of rejects that are no fault of an image that was spooled whole.
_GONE = ("missing", "unreadable", "changed")


@dataclass(frozen=True)
class SpoolStore:
    """A `gpu_pack.stores.store.Store` over the files of a spool, which never change.

    Attributes:
        store: where they lie.
        files: by name in the spool; a version of -1 is whatever each machine sees, since some file systems tell each
            another time.
    """

    store: Store
    files: Mapping[str, Container]

    @property
    def root(self) -> str:
        """See `Store.root`."""
        return self.store.root

    def ahead(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """See `Store.ahead`."""
        asked: list[Entry] = []
        mapped = self._mapping()

        def there() -> Iterator[Entry]:
            for entry in entries:
                asked.append(entry)
                yield mapped(entry)

        for _ in self.store.ahead(there()):
            yield asked.pop(0)

    def read_many(self, entries: Iterable[Entry]) -> Generator[Image | Rejected, None, None]:
        """See `Store.read_many`.

        Raises:
            SourceError: the spool is gone, so that nothing can be told of its images.
        """
        asked = list(entries)
        found = self.store.read_many(map(self._mapping(), asked))
        for entry, item in zip(asked, found, strict=True):
            if isinstance(item, Rejected) and item.code in _GONE:
                raise self._gone(item.reason)
            yield item._replace(entry=entry)

    def stat(self, path: str) -> Stat:
        """See `Store.stat`."""
        return self.store.stat(self._file(path).path)

    def open(self, path: str) -> OpenFile:
        """See `Store.open`."""
        return self.store.open(self._file(path).path)

    def local_path(self, path: str) -> str | None:
        """See `Store.local_path`."""
        return self.store.local_path(self._file(path).path)

    def list(self, folder: str) -> Sequence[StoreItem]:
        """See `Store.list`; nobody needs it."""
        raise SourceError(f"{self.root}: a spool is not listed")

    def write(self, path: str, data: bytes) -> None:
        """See `Store.write`; a spool is only read."""
        raise OutputError(f"{self.root}: a spool is only read")

    def _mapping(self) -> Callable[[Entry], Entry]:
        """An entry as the store knows it; files are looked at once."""
        known: dict[str, Container] = {}

        def mapped(entry: Entry) -> Entry:
            place = entry.place
            assert place is not None
            name = place.container.path
            if name not in known:
                known[name] = self._container(name)
            return entry._replace(place=place._replace(container=known[name]))

        return mapped

    def _container(self, name: str) -> Container:
        found = self._file(name)
        if found.version >= 0:
            return found
        stat = self.store.stat(found.path)
        if stat.size != found.size:
            raise self._gone(f"{found.path} is not there" if stat.size < 0 else f"{found.path} has another size")
        return found._replace(version=stat.version)

    def _file(self, name: str) -> Container:
        try:
            return self.files[name]
        except KeyError:
            raise self._gone(f"{name} is none of its files") from None

    def _gone(self, reason: str) -> SourceError:
        return SourceError(
            f"{self.root}: what the run spooled there is gone ({reason}): run the same command, or gpu-pack plan, again"
        )
