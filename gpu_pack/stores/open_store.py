"""The store of a path or an address."""

from __future__ import annotations

from gpu_pack.stores.address import StoreOptions, is_address, parse_address
from gpu_pack.stores.local import LocalStore
from gpu_pack.stores.object_store import ObjectStore
from gpu_pack.stores.store import Store


def open_store(text: str, options: StoreOptions | None = None) -> Store:
    """A store over a local folder, or over the bucket and prefix of an address.

    Of a ``https://`` address, which names one file, it is the folder that the file lies in.

    Raises:
        UsageError: the address is malformed.
    """
    if not is_address(text):
        return LocalStore(text)
    address = parse_address(text)
    return ObjectStore(address.parent if address.is_web else address, options or StoreOptions())
