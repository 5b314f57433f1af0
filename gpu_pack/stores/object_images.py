"""One image of an object store: an object of its own, or a range inside of one."""

from __future__ import annotations

from typing import Any

from gpu_pack.stores.members import MAX_FILE_BYTES, changed, refuse_span, too_large, unpack
from gpu_pack.stores.object_faults import ObjectError
from gpu_pack.stores.object_requests import Request, Requests
from gpu_pack.stores.object_stat import look_up, stat_of
from gpu_pack.types import Entry, Image, Place, Rejected

_CODES = {"missing": "missing", "changed": "changed"}


def ask_for(requests: Requests, key: str, entry: Entry) -> Request | Image | Rejected:
    """Begin to read the image of an entry, if that needs a request; ``key`` is of the object that it is or lies in."""
    obstore, client, place = requests.obstore, requests.client, entry.place
    if place is not None:
        if refused := refuse_span(entry):
            return refused
        if not place.length:
            return unpack(entry, b"")
        return requests.start(key, lambda: _part(requests, key, place))
    size = entry.size
    if size and size <= MAX_FILE_BYTES and not requests.is_web:
        # One more byte: a longer object shows. It costs 0.6 of a plain GET's time.
        return requests.start(key, lambda: obstore.get_range_async(client, key, start=0, length=size + 1))
    return requests.start(key, lambda: _whole(requests, key))


def finish(entry: Entry, asked: Request | Image | Rejected) -> Image | Rejected:
    """Wait for the image that `ask_for` asked for.

    Raises:
        SourceError: nothing can be read.
    """
    if not isinstance(asked, Request):
        return asked
    try:
        found = asked.result()
        if entry.place is not None:
            return changed(entry, entry.place.container) if found is None else unpack(entry, bytes(found))
        if found is not None and (entry.size is None or len(found) == entry.size):
            return Image(entry, bytes(found))
        return _unexpected(asked.requests, asked.key, entry)
    except ObjectError as error:
        fault = error.fault
        if fault.kind == "range" and entry.place is None:  # it is empty now
            return _unexpected(asked.requests, asked.key, entry)
        if fault.kind in ("range", "changed") and entry.place is not None:
            return changed(entry, entry.place.container)
        return Rejected(entry, "read", fault.reason, _CODES.get(fault.kind, "unreadable"))


def _unexpected(requests: Requests, key: str, entry: Entry) -> Image | Rejected:
    """An object of another size than listed, or one that is too large.

    Raises:
        ObjectError, SourceError: it cannot be read.
    """
    size: int = look_up(requests, key)["size"]
    if entry.size is not None and size != entry.size:
        reason = f"the file changed while packing: {entry.size} bytes when listed, {size} now"
        return Rejected(entry, "read", reason, "changed")
    if size > MAX_FILE_BYTES:
        return Rejected(entry, "read", *too_large(size))
    data = bytes(requests.start(key, lambda: _whole(requests, key)).result() or b"")
    if len(data) != size:
        reason = f"the file ended {size - len(data)} bytes before its size of {size}"
        return Rejected(entry, "read", reason, "changed")
    return Image(entry, data)


async def _whole(requests: Requests, key: str) -> Any:
    """An object's bytes; None where it is too large to be read."""
    found = await requests.obstore.get_async(requests.client, key)
    return await found.bytes_async() if found.meta["size"] <= MAX_FILE_BYTES else None


async def _part(requests: Requests, key: str, place: Place) -> Any:
    """A part of an object; None where that is not the object that was listed."""
    options = {"range": (place.offset, place.offset + place.length)}
    found = await requests.obstore.get_async(requests.client, key, options=options)
    return await found.bytes_async() if stat_of(found.meta) == place.container[1:] else None
