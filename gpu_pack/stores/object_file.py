"""An object that is read at offsets, in blocks: headers of an archive in a row do not cost a request each."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import Any

from gpu_pack.errors import SourceError
from gpu_pack.stores.address import Address
from gpu_pack.stores.object_faults import ObjectError
from gpu_pack.stores.object_requests import Request, Requests
from gpu_pack.stores.object_stat import look_up_existing, stat_of

_BLOCK_BYTES = 1 << 20
#: Asked for ahead of one that is read in sequence: 8 MiB in flight are 400 MB/s at 20 ms.
_BLOCKS_AHEAD = 8
_BLOCKS_KEPT = 2 * _BLOCKS_AHEAD


class ObjectFile:
    """A `gpu_pack.stores.store.OpenFile`.

    Raises:
        SourceError: there is no such object, or it cannot be read.
    """

    def __init__(self, requests: Requests, address: Address) -> None:
        self._requests, self._address = requests, address
        meta = look_up_existing(requests, address)
        self.stat = stat_of(meta)
        self._etag = meta["e_tag"]
        self._blocks: OrderedDict[int, Request] = OrderedDict()
        self._last = -1  # the block that was read last

    def read_at(self, offset: int, length: int) -> bytes:
        """See `OpenFile.read_at`."""
        end = min(offset + length, self.stat.size)
        if offset >= end:
            return b""
        first, last = offset // _BLOCK_BYTES, (end - 1) // _BLOCK_BYTES
        pieces = []
        for number in range(first, last + 1):
            block = self._block(number, last)
            start = number * _BLOCK_BYTES
            pieces.append(bytes(block[max(offset - start, 0) : end - start]))
        return b"".join(pieces)

    def __enter__(self) -> ObjectFile:
        return self

    def __exit__(self, *error: object) -> None:
        for request in self._blocks.values():
            request.cancel()
        self._blocks.clear()

    def _block(self, number: int, last: int) -> memoryview:
        """One block; those up to ``last`` are asked for too, and more of them where it follows on the one before."""
        wanted = last if number not in (self._last, self._last + 1) else max(last, number + _BLOCKS_AHEAD)
        self._last = number
        end = min(wanted, number + _BLOCKS_AHEAD, (self.stat.size - 1) // _BLOCK_BYTES)
        for each in range(number, end + 1):
            if each not in self._blocks:
                self._blocks[each] = self._requests.start(self._address.key, partial(self._get, each))
        self._blocks.move_to_end(number)
        while len(self._blocks) > _BLOCKS_KEPT:
            self._blocks.popitem(last=False)[1].cancel()
        try:
            return memoryview(self._blocks[number].result())
        except ObjectError as error:
            raise SourceError(f"{self._address}: {error}") from error

    async def _get(self, number: int) -> Any:
        start = number * _BLOCK_BYTES
        options: dict[str, Any] = {"range": (start, min(start + _BLOCK_BYTES, self.stat.size))}
        if self._etag:
            options["if_match"] = self._etag
        found = await self._requests.obstore.get_async(self._requests.client, self._address.key, options=options)
        return await found.bytes_async()
