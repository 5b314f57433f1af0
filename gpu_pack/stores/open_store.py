"""The store of a folder, by its path or its address."""

from __future__ import annotations

from gpu_pack.stores.address import StoreOptions, is_address, parse_address
from gpu_pack.stores.local import LocalStore
from gpu_pack.stores.object_store import ObjectStore
from gpu_pack.stores.store import Store


def open_store(folder: str, options: StoreOptions | None = None) -> Store:
    """A store over a local folder, or over the bucket and prefix of an address.

    Raises:
        UsageError: the address is malformed.
    """
    if not is_address(folder):
        return LocalStore(folder)
    return ObjectStore(parse_address(folder), options or StoreOptions())
