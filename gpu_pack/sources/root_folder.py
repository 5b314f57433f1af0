"""The one folder that everything in an archive lies in, such as ``photos/`` of ``tar cf photos.tar photos``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from gpu_pack.sources.member_tree import MemberTree
from gpu_pack.sources.tree import TreeFile, is_image


class RootedTree:
    """A `gpu_pack.sources.tree.Tree`: that of another one's folder.

    Args:
        tree: the whole.
        root: the folder, with ``/`` at the end.
    """

    def __init__(self, tree: MemberTree, root: str) -> None:
        self.source, self.name = tree.source, root.rstrip("/").rpartition("/")[2]
        self._tree, self._root = tree, root

    def scan(self, folder: str, skipped: Counter[str]) -> tuple[Iterable[TreeFile], list[str]]:
        """See `Tree.scan`."""
        return self._tree.scan(self._root + folder, skipped)

    def identity(self, folder: str) -> None:
        """See `Tree.identity`; there are no links."""


def root_folder(tree: MemberTree, divided: bool = False) -> str:
    """The folder, with ``/`` at the end, that holds all folders which may be classes; empty where it is the tree's own.

    It is gone down as long as there is one folder alone, without images beside it, and with folders in it.

    Args:
        tree: the whole.
        divided: the folders in it are splits, so that there must be folders in them too.
    """
    root = ""
    while True:
        files, folders = tree.scan(root, Counter())
        if len(folders) != 1 or any(map(is_image, files)):
            return root
        inside = f"{root}{folders[0]}/"
        files, folders = tree.scan(inside, Counter())
        if divided:
            folders = [name for name in folders if tree.scan(f"{inside}{name}/", Counter())[1]]
        if not folders or any(map(is_image, files)):
            return root
        root = inside
