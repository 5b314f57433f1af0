"""Lists of objects: one folder, or everything below one, as a stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import merge
from typing import Any, NamedTuple

from gpu_pack.errors import SourceError
from gpu_pack.stores.address import Address
from gpu_pack.stores.object_faults import ObjectError
from gpu_pack.stores.object_requests import Request, Requests
from gpu_pack.stores.object_stat import stat_of
from gpu_pack.stores.store import Stat

#: Objects that are asked for at once: two pages of the stores, which have 1,000.
_CHUNK = 2000
#: Folders that are listed at the same time.
_FOLDERS_AHEAD = 16


class ListedItem(NamedTuple):
    """A `gpu_pack.stores.store.StoreItem` of an object store.

    Attributes:
        name: the last part of the path.
        path: in the store.
        stat: of an object; None for a folder.
    """

    name: str
    path: str
    stat: Stat | None

    def is_dir(self) -> bool:
        return self.stat is None


def list_folder(requests: Requests, folder: Address, path: str) -> list[ListedItem]:
    """The objects and folders directly in ``folder``, sorted by name; ``path`` is its path in the store.

    Raises:
        SourceError: there are none, or they cannot be listed.
    """
    _refuse_web(folder)
    before = f"{path.rstrip('/')}/" if path else ""
    found = _list_once(requests, folder)
    items = [
        ListedItem(name := meta["path"].rpartition("/")[2], before + name, stat_of(meta))
        for meta in found["objects"]
        if meta["path"] != folder.key  # else the empty object by which consoles make a folder
    ]
    items += [ListedItem(name := each.rpartition("/")[2], before + name, None) for each in found["common_prefixes"]]
    if not items and not found["objects"] and folder.key:
        raise SourceError(f"{folder}: cannot be listed: there is nothing")
    return sorted(items, key=lambda item: item.name)


def walk(requests: Requests, folder: Address) -> Iterator[tuple[str, Stat]]:
    """Keys and stats of all objects below ``folder``, as a stream, in the order of the keys.

    Folders directly in it are listed concurrently. Order is the store's below those: of the keys' UTF-8 bytes in S3
    and GCS. Empty objects by which consoles make folders are left out.

    Raises:
        SourceError: they cannot be listed.
    """
    _refuse_web(folder)
    found = _list_once(requests, folder)
    here = sorted((meta["path"], stat_of(meta)) for meta in found["objects"] if meta["path"] != folder.key)
    folders = sorted(f"{each}/" for each in found["common_prefixes"])
    return _without_markers(merge(here, _walk_all(requests, folder, folders), key=lambda item: item[0].encode()))


def _walk_all(requests: Requests, folder: Address, prefixes: list[str]) -> Iterator[tuple[str, Stat]]:
    """One after the other, while the next ones are on their way."""
    started: deque[_Stream] = deque()
    remaining = iter(prefixes)
    try:
        while True:
            while len(started) < _FOLDERS_AHEAD and (prefix := next(remaining, None)) is not None:
                started.append(_Stream(requests, folder, prefix))
            if not started:
                return
            yield from started[0]
            started.popleft()
    finally:
        for stream in started:
            stream.close()


class _Stream:
    """The objects below one prefix; one chunk is asked for ahead."""

    def __init__(self, requests: Requests, folder: Address, prefix: str) -> None:
        self._requests, self._prefix = requests, prefix
        self._address = Address(folder.scheme, folder.bucket, prefix.rstrip("/"))
        self._last: str | None = None
        self._stream: Any = None
        self._next = self._ask()

    def __iter__(self) -> Iterator[tuple[str, Stat]]:
        while chunk := self._wait():
            self._last = chunk[-1]["path"]
            self._next = self._ask()
            for meta in chunk:
                if meta["path"] != self._address.key:  # else the empty object that marks this folder
                    yield meta["path"], stat_of(meta)

    def close(self) -> None:
        self._next.cancel()

    def _ask(self) -> Request:
        return self._requests.start(self._prefix, self._get)

    async def _get(self) -> Any:
        stream = self._stream
        if stream is None:  # at first, and after a failure, behind what came before it
            obstore, client = self._requests.obstore, self._requests.client
            stream = obstore.list(client, self._prefix, offset=self._last, chunk_size=_CHUNK)
        self._stream = None
        try:
            chunk = await anext(stream)
        except StopAsyncIteration:
            return None
        self._stream = stream
        return chunk

    def _wait(self) -> Any:
        try:
            return self._next.result()
        except ObjectError as error:
            raise _unlistable(self._address, error) from error


def _without_markers(items: Iterator[tuple[str, Stat]]) -> Iterator[tuple[str, Stat]]:
    """Leave out empty objects that have others below them: ``folder/`` comes as ``folder``, just before those."""
    held: tuple[str, Stat] | None = None
    for item in items:
        if held is not None and not item[0].startswith(f"{held[0]}/"):
            yield held
        held = item if item[1].size == 0 else None
        if held is None:
            yield item
    if held is not None:
        yield held


def _list_once(requests: Requests, folder: Address) -> Any:
    obstore, client = requests.obstore, requests.client
    try:
        return requests.call(folder.key, lambda: obstore.list_with_delimiter(client, folder.key or None))
    except ObjectError as error:
        raise _unlistable(folder, error) from error


def _unlistable(folder: Address, error: ObjectError) -> SourceError:
    fault = error.fault
    if fault.kind == "name":
        return SourceError(
            f"{folder}: cannot be listed: a key has an empty part, . or .. in it, which is {fault.reason}: rename it"
        )
    if fault.kind == "missing":
        return SourceError(f"{Address(folder.scheme, folder.bucket)}: there is no such bucket")
    return SourceError(f"{folder}: cannot be listed: {fault.reason}")


def _refuse_web(folder: Address) -> None:
    if folder.is_web:
        raise SourceError(
            f"{folder}: cannot be listed: web servers tell no lists of their files: name one file, or a list of them"
        )
