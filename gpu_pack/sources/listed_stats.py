"""Stats of many objects that a list names: one list of each folder, in place of a request for each object."""

from __future__ import annotations

from collections import OrderedDict

from gpu_pack.errors import SourceError
from gpu_pack.stores.object_store import ObjectStore
from gpu_pack.stores.store import Stat

_MISSING = Stat(-1, -1)
#: Objects of folders that are remembered: some 250 MB.
_MOST = 1_000_000


class ListedStats:
    """Looks objects up in lists of their folders. Web servers have no lists: there, each is asked for."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._folders: OrderedDict[str, dict[str, Stat]] = OrderedDict()

    def stat(self, path: str) -> Stat:
        """See `Store.stat`.

        Raises:
            SourceError: the store does not tell.
        """
        address = self._store.address(path)
        if address.is_web or path.endswith("/") or "/../" in path or address != self._store.folder.below(path):
            return self._store.stat(path)
        folder, _, name = path.rpartition("/")
        found = self._folders.get(folder)
        if found is None:
            found = self._folders[folder] = self._list(folder)
            while sum(map(len, self._folders.values())) > _MOST and len(self._folders) > 1:
                self._folders.popitem(last=False)
        return found.get(name, _MISSING)

    def _list(self, folder: str) -> dict[str, Stat]:
        try:
            return {item.name: item.stat for item in self._store.list(folder) if item.stat is not None}
        except SourceError:
            self._store.stat(f"{folder}/x" if folder else "x")  # raises unless the folder is just not there
            return {}
