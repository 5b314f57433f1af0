"""Parts of an object whose places are known before they are read: many are asked for at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from gpu_pack.errors import SourceError
from gpu_pack.stores.address import Address
from gpu_pack.stores.object_faults import ObjectError
from gpu_pack.stores.object_requests import Request, Requests
from gpu_pack.stores.object_stat import look_up, stat_of

#: Offset and length in bytes.
Span = tuple[int, int]
#: In flight, or waiting to be read: 64 requests at 20 ms are 3,200 parts a second.
_MANY, _MANY_BYTES = 64, 32 << 20
#: Asked for at a place that was not expected.
_LEAST_BYTES = 4096


class ObjectSpans:
    """A `gpu_pack.stores.store.OpenFile` that is told what will be read. Safe for one thread at a time.

    Raises:
        SourceError: there is no such object, or it cannot be read.
    """

    def __init__(self, requests: Requests, address: Address) -> None:
        self._requests, self._address = requests, address
        try:
            meta = look_up(requests, address.key)
        except ObjectError as error:
            raise SourceError(f"{address}: {error}") from error
        self.stat = stat_of(meta)
        self._etag = meta["e_tag"]
        self._coming: Iterator[Span] = iter(())
        self._next: Span | None = None
        self._window: deque[tuple[Span, Request]] = deque()
        self._bytes = 0
        self._stray = (0, b"")  # what was read last without being expected

    def __enter__(self) -> ObjectSpans:
        return self

    def __exit__(self, *error: object) -> None:
        self.expect(())

    def expect(self, spans: Iterable[Span]) -> None:
        """Replace what is expected by ``spans``, in the order in which they will be read; all else costs a request."""
        while self._window:
            self._take()[1].cancel()
        self._coming, self._next = iter(spans), None

    def read_at(self, offset: int, length: int) -> bytes:
        """See `OpenFile.read_at`. Expected spans that end at or before ``offset`` are dropped."""
        end = min(offset + length, self.stat.size)
        if offset >= end:
            return b""
        if self._stray[0] <= offset and end <= self._stray[0] + len(self._stray[1]):
            return self._stray[1][offset - self._stray[0] : end - self._stray[0]]
        self._fill()
        while self._window and sum(self._window[0][0]) <= offset:
            self._take()[1].cancel()
            self._fill()
        if self._window:
            (start, size), request = self._window[0]
            if start <= offset and end <= start + size:
                return bytes(memoryview(self._wait(request))[offset - start : end - start])
        self._stray = (offset, bytes(self._wait(self._ask((offset, max(end - offset, _LEAST_BYTES))))))
        return self._stray[1][: end - offset]

    def read_many(self, spans: Iterable[Span]) -> Iterator[bytes]:
        """The bytes of spans, in their order; fewer where the object ends.

        Raises:
            SourceError: it cannot be read.
        """
        self.expect(spans)
        self._fill()
        while self._window:
            _, request = self._take()
            self._fill()
            yield bytes(self._wait(request))

    def _fill(self) -> None:
        while True:
            self._next = self._next or next(self._coming, None)
            full = len(self._window) >= _MANY or (self._window and self._bytes >= _MANY_BYTES)
            if self._next is None or full:
                return
            self._window.append((self._next, self._ask(self._next)))
            self._bytes += self._next[1]
            self._next = None

    def _take(self) -> tuple[Span, Request]:
        taken = self._window.popleft()
        self._bytes -= taken[0][1]
        return taken

    def _ask(self, span: Span) -> Request:
        return self._requests.start(self._address.key, partial(self._get, *span))

    def _wait(self, request: Request) -> Any:
        try:
            return request.result()
        except ObjectError as error:
            raise SourceError(f"{self._address}: {error}") from error

    async def _get(self, offset: int, length: int) -> Any:
        end = min(offset + length, self.stat.size)
        if offset >= end:
            return b""
        options: dict[str, Any] = {"range": (offset, end)}
        if self._etag:
            options["if_match"] = self._etag
        found = await self._requests.obstore.get_async(self._requests.client, self._address.key, options=options)
        return await found.bytes_async()
