"""Stores that do not depend on the working folder, for processes that have another one."""

from __future__ import annotations

import os
from dataclasses import replace

from gpu_pack.stores.joined_store import JoinedStore
from gpu_pack.stores.local import LocalStore
from gpu_pack.stores.store import Store


def anchored(store: Store) -> Store:
    """The same store, with roots of local folders as absolute paths; paths in it stay as they are."""
    if isinstance(store, JoinedStore):
        return replace(store, parts=tuple((prefix, anchored(part)) for prefix, part in store.parts))
    return replace(store, root=os.path.abspath(store.root)) if isinstance(store, LocalStore) else store
