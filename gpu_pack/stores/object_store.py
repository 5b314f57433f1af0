"""A store over a bucket, or a prefix in one, through obstore. Many requests are in flight at once, on one thread."""

from __future__ import annotations

import posixpath
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field

from gpu_pack.errors import OutputError, SourceError
from gpu_pack.stores.address import Address, StoreOptions, is_address, parse_address
from gpu_pack.stores.object_faults import ObjectError
from gpu_pack.stores.object_file import ObjectFile
from gpu_pack.stores.object_images import ask_for, finish
from gpu_pack.stores.object_listing import ListedItem, list_folder, walk
from gpu_pack.stores.object_requests import Request, Requests, requests_to
from gpu_pack.stores.object_stat import look_up, stat_of
from gpu_pack.stores.store import Stat
from gpu_pack.types import Entry, Image, Rejected, file_bytes

#: In flight for one `ahead`, and for one `read_many`, which several threads call.
_AHEAD, _AHEAD_BYTES = 128, 128 << 20
_MANY, _MANY_BYTES = 64, 32 << 20


@dataclass(frozen=True)
class ObjectStore:
    """A `gpu_pack.stores.store.Store` over a folder of an object store.

    It holds no credentials: each process takes them from its environment, when it reads first. What fails for a moment
    is repeated; see `gpu_pack.stores.address.Retry`.

    Attributes:
        folder: the address that paths start from. Paths that are addresses themselves are used as they are.
        options: how the store is reached.
    """

    folder: Address
    options: StoreOptions = field(default_factory=StoreOptions)

    @property
    def root(self) -> str:
        """See `Store.root`."""
        return str(self.folder)

    def ahead(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """See `Store.ahead`. Up to 128 requests and 128 MiB are in flight or wait to be asked for.

        Raises:
            SourceError: obstore is not installed, or there are no credentials.
        """
        requests = self._requests(self.folder)
        waiting: deque[Entry] = deque()
        given: deque[Entry] = deque()  # from the oldest on that is not yet asked for
        size = given_size = 0
        try:
            for entry in entries:
                self._announce(requests, entry)
                waiting.append(entry)
                size += _bytes(entry)
                while len(waiting) > _AHEAD or (size > _AHEAD_BYTES and len(waiting) > 1):
                    given.append(waiting.popleft())
                    size -= _bytes(given[-1])
                    given_size += _bytes(given[-1])
                    yield given[-1]
                    while given and (given[0] not in requests.announced or given_size > _AHEAD_BYTES):
                        given_size -= _bytes(given[0])
                        _withdraw(requests, [given.popleft()])
            while waiting:
                given.append(waiting.popleft())
                yield given[-1]
        except BaseException:  # it is closed, before its end
            _withdraw(requests, [*given, *waiting])
            raise
        # The last ones are still to be asked for, but by a run that failed meanwhile.
        kept = [entry for entry in (*requests.last, *given) if entry in requests.announced]
        while sum(map(_bytes, kept)) > _AHEAD_BYTES:
            _withdraw(requests, [kept.pop(0)])
        requests.last = kept

    def read_many(self, entries: Iterable[Entry]) -> Generator[Image | Rejected, None, None]:
        """See `Store.read_many`. Up to 64 requests and 32 MiB are in flight, besides what was announced."""
        requests = self._requests(self.folder)
        window: deque[tuple[Entry, Request | Image | Rejected]] = deque()
        size = 0
        try:
            for entry in entries:
                while window and (len(window) == _MANY or size + _bytes(entry) > _MANY_BYTES):
                    size -= _bytes(window[0][0])
                    yield finish(*window.popleft())
                announced = requests.announced.pop(entry, None)
                window.append((entry, announced or self._ask(requests, entry)))
                size += _bytes(entry)
            while window:
                yield finish(*window.popleft())
        finally:
            for _, request in window:
                if isinstance(request, Request):
                    request.cancel()

    def stat(self, path: str) -> Stat:
        """See `Store.stat`.

        Raises:
            SourceError: the store does not tell.
        """
        address = self.address(path)
        try:
            return stat_of(look_up(self._requests(address), address.key))
        except ObjectError as error:
            if error.fault.kind in ("missing", "name"):
                return Stat(-1, -1)
            raise SourceError(f"{address}: {error}") from error

    def open(self, path: str) -> ObjectFile:
        """See `Store.open`."""
        address = self.address(path)
        return ObjectFile(self._requests(address), address)

    def local_path(self, path: str) -> None:
        """See `Store.local_path`."""

    def list(self, folder: str) -> list[ListedItem]:
        """See `Store.list`."""
        address = self.address(folder)
        return list_folder(self._requests(address), address, folder)

    def walk(self, folder: str = "") -> Iterator[tuple[str, Stat]]:
        """Paths and stats of all objects below a folder, as a stream, in the order of their UTF-8 bytes.

        Raises:
            SourceError: they cannot be listed.
        """
        skip = len(self.folder.key) + 1 if self.folder.key else 0
        address = self.folder.below(folder)
        return ((key[skip:], stat) for key, stat in walk(self._requests(address), address))

    def write(self, path: str, data: bytes) -> None:
        """See `Store.write`."""
        address = self.address(path)
        try:
            requests = self._requests(address)
            requests.call(address.key, lambda: requests.obstore.put(requests.client, address.key, data))
        except (ObjectError, SourceError) as error:
            where = "" if isinstance(error, SourceError) else f"{address}: cannot be written: "
            raise OutputError(f"{where}{error}") from error

    def address(self, path: str) -> Address:
        """Of a path in this store."""
        if is_address(path):
            return parse_address(path)
        found = self.folder.below(path)
        if "./" in path:  # as lists made by `find` have it
            return Address(found.scheme, found.bucket, posixpath.normpath(found.key))
        return found

    def _requests(self, address: Address) -> Requests:
        return requests_to(address, self.options)

    # ---- one image

    def _announce(self, requests: Requests, entry: Entry) -> None:
        if entry not in requests.announced and isinstance(request := self._ask(requests, entry), Request):
            requests.announced[entry] = request

    def _ask(self, requests: Requests, entry: Entry) -> Request | Image | Rejected:
        """Begin to read an image; ``requests`` are those to the folder's bucket, in which nearly all lie."""
        address = self.address(entry.path if entry.place is None else entry.place.container.path)
        if (address.scheme, address.bucket) != (self.folder.scheme, self.folder.bucket):
            requests = self._requests(address)
        return ask_for(requests, address.key, entry)


def _withdraw(requests: Requests, entries: Iterable[Entry]) -> None:
    for entry in entries:
        if (request := requests.announced.pop(entry, None)) is not None:
            request.cancel()


def _bytes(entry: Entry) -> int:
    return file_bytes(entry) if entry.place is None else entry.place.length
