"""Parts of objects whose places are known before they are read: many are asked for at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from typing import Any

from gpu_pack.errors import SourceError
from gpu_pack.stores.address import Address
from gpu_pack.stores.object_faults import ObjectError
from gpu_pack.stores.object_requests import Request, Requests
from gpu_pack.stores.object_stat import look_up_existing, stat_of

#: Offset and length in bytes.
Span = tuple[int, int]
#: In flight, or waiting to be read: 64 requests at 20 ms are 3,200 parts a second.
MANY, MANY_BYTES = 64, 32 << 20
#: Asked for at a place that was not expected.
_LEAST_BYTES = 4096
#: Spans that are kept behind the reader: it may look at the next record's header before it reads the rest of this one.
_BEHIND = 2


class ObjectSpans:
    """A `gpu_pack.stores.store.OpenFile` that is told what will be read. Safe for one thread at a time.

    Attributes:
        etag: of the object, or None.

    Raises:
        SourceError: there is no such object, or it cannot be read.
    """

    def __init__(self, requests: Requests, address: Address) -> None:
        self._requests, self._address = requests, address
        meta = look_up_existing(requests, address)
        self.stat = stat_of(meta)
        self.etag: str | None = meta["e_tag"]
        self._coming: Iterator[Span] = iter(())
        self._window: deque[tuple[Span, Request]] = deque()
        self._bytes = 0
        self._behind: deque[tuple[Span, Request]] = deque()
        self._stray: Span = (0, 0)  # what was read last without being expected
        self._stray_data = b""

    def __enter__(self) -> ObjectSpans:
        return self

    def __exit__(self, *error: object) -> None:
        self.expect(())

    def expect(self, spans: Iterable[Span]) -> None:
        """Replace what is expected by ``spans``, in the order in which they will be read; all else costs a request."""
        self._drop(len(self._window))
        while self._behind:
            self._behind.popleft()[1].cancel()
        self._coming = iter(spans)

    def read_at(self, offset: int, length: int) -> bytes:
        """See `OpenFile.read_at`. Expected spans before the one that is read are dropped, but for the last two."""
        end = min(offset + length, self.stat.size)
        if offset >= end:
            return b""
        if _holds(self._stray, offset, end):
            return self._stray_data[offset - self._stray[0] : end - self._stray[0]]
        self._fill()
        for place, (span, request) in enumerate(chain(self._behind, self._window)):
            if _holds(span, offset, end):
                data = memoryview(self._wait(request))[offset - span[0] : end - span[0]]
                self._drop(place - len(self._behind))
                return bytes(data)
        while self._window and sum(self._window[0][0]) <= offset:
            self._drop(1)
            self._fill()
        self._stray = (offset, min(max(length, _LEAST_BYTES), self.stat.size - offset))
        self._stray_data = bytes(self._wait(self._ask(self._stray)))
        return self._stray_data[: end - offset]

    def _fill(self) -> None:
        while len(self._window) < MANY and (self._bytes < MANY_BYTES or not self._window):
            if (span := next(self._coming, None)) is None:
                return
            self._window.append((span, self._ask(span)))
            self._bytes += span[1]

    def _drop(self, count: int) -> None:
        for _ in range(count):
            span, request = self._window.popleft()
            self._bytes -= span[1]
            self._behind.append((span, request))
            if len(self._behind) > _BEHIND:
                self._behind.popleft()[1].cancel()

    def _ask(self, span: Span) -> Request:
        offset, length = span
        end = min(offset + length, self.stat.size)
        return ask_for_range(self._requests, self._address.key, self.etag, offset, end)

    def _wait(self, request: Request) -> Any:
        try:
            return request.result()
        except ObjectError as error:
            raise SourceError(f"{self._address}: {error}") from error


def ask_for_range(requests: Requests, key: str, etag: str | None, offset: int, end: int) -> Request:
    """Begin to read the bytes of an object from ``offset`` to before ``end``; an ObjectError if its etag is another."""
    return requests.start(key, partial(_get, requests, key, etag, offset, end))


async def _get(requests: Requests, key: str, etag: str | None, offset: int, end: int) -> Any:
    if offset >= end:
        return b""
    options: dict[str, Any] = {"range": (offset, end)}
    if etag:
        options["if_match"] = etag
    found = await requests.obstore.get_async(requests.client, key, options=options)
    return await found.bytes_async()


def _holds(span: Span, offset: int, end: int) -> bool:
    return span[0] <= offset and end <= span[0] + span[1]
