"""A folder in a bucket as a tree, listed at once as a stream."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

from gpu_pack.sources.member_tree import MemberTree
from gpu_pack.sources.open_source import SourceFiles
from gpu_pack.sources.tree import HEAD_BYTES, SYSTEM_NAMES, begins_as_image, may_be_image
from gpu_pack.stores.object_store import ObjectStore
from gpu_pack.stores.store import Stat
from gpu_pack.types import Container, Entry, Image, Place


def remote_tree(files: SourceFiles) -> MemberTree:
    """All objects below a folder; the first bytes are read of those that no suffix tells to be images.

    Raises:
        SourceError: it cannot be listed.
    """
    store = files.store
    assert isinstance(store, ObjectStore)
    images: set[str] = set()
    folder = store.folder
    tree = MemberTree(files.source, folder.name or folder.bucket, lambda path, _: path in images)
    doubtful = array("I")
    for path, stat in store.walk():
        name = path.rpartition("/")[2]
        if not name:  # by which consoles make a folder
            continue
        if not may_be_image(name) and name.lower() not in SYSTEM_NAMES:
            doubtful.append(len(tree))
        tree.add(path, path, stat)
    images.update(_images(store, ((tree.paths.at(row), tree.stat(row)) for row in doubtful)))
    return tree


def _images(store: ObjectStore, objects: Iterable[tuple[str, Stat]]) -> Iterator[str]:
    """The paths of objects that begin as images do."""
    places = ((path, Place(Container(path, *stat), 0, min(HEAD_BYTES, stat.size))) for path, stat in objects)
    entries = (Entry(number, (), path, place.length, place) for number, (path, place) in enumerate(places))
    for item in store.read_many(entry for entry in entries if entry.size):
        if isinstance(item, Image) and begins_as_image(item.data):
            yield item.entry.path
