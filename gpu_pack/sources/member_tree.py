"""The members of archives, or the objects of a bucket, as folders of images."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable
from itertools import zip_longest

from gpu_pack.sources.places import Places
from gpu_pack.sources.tree import SYSTEM_NAMES, TreeFile
from gpu_pack.stores.store import Stat
from gpu_pack.types import Place

_DUPLICATE = ("a later member of the archive has the same name, and is the one that counts", "duplicate")
#: Whether the member at a path and place begins as an image does.
Begins = Callable[[str, Place | None], bool]


class MemberTree:
    """A `gpu_pack.sources.tree.Tree` that is filled member by member; a million of them take some 300 MB.

    Args:
        source: its name in messages.
        name: what a class that has no other name is called.
        begins: for members whose names do not tell that they are images; None: then they are none.
    """

    def __init__(self, source: str, name: str, begins: Begins | None = None) -> None:
        self.source, self.name = source, name
        self._begins = begins
        self._files: dict[str, array[int]] = {"": array("I")}
        self._folders: dict[str, set[str]] = {"": set()}
        self.names: list[str] = []
        self.paths: list[str] = []
        self.places = Places()
        self.refusals: dict[int, tuple[str, str]] = {}
        self._sizes, self._versions = array("q"), array("q")

    def add(
        self,
        path_in_tree: str,
        path: str,
        stat: Stat,
        place: Place | None = None,
        refused: tuple[str, str] | None = None,
    ) -> None:
        """Add a file.

        Args:
            path_in_tree: with ``/`` between folders, which decide its class; neither empty nor absolute.
            path: as `Entry.path`.
            stat: of the file.
            place: where it lies inside of another file.
            refused: the reason and the code of a reject, for a file that is not to be read.
        """
        row = len(self.names)
        folder, _, name = path_in_tree.rpartition("/")
        self._folder(folder + "/" if folder else "").append(row)
        self.names.append(name)
        self.paths.append(path)
        self._sizes.append(stat.size)
        self._versions.append(stat.version)
        if place is not None:
            self.places.put(row, place)
        if refused is not None:
            self.refusals[row] = refused

    def add_folder(self, folder: str) -> None:
        """Add a folder, with ``/`` at the end, which may stay empty."""
        self._folder(folder)

    def move_loose(self, rows: range, folder: str) -> None:
        """Put those of some rows that lie in no folder into one."""
        loose = self._files[""]
        moved = [row for row in loose if row in rows]
        self._files[""] = array("I", (row for row in loose if row not in rows))
        self._folder(folder).extend(moved)

    def scan(self, folder: str, skipped: Counter[str]) -> tuple[list[TreeFile], list[str]]:
        """See `Tree.scan`."""
        files: list[TreeFile] = []
        rows = sorted(self._files.get(folder, ()), key=lambda row: (self.names[row], self.paths[row]))
        for row, after in zip_longest(rows, rows[1:]):
            file = _Member(self, row)
            if after is not None and self.paths[row] == self.paths[after]:
                self.refusals.setdefault(row, _DUPLICATE)
            if file.name.lower() in SYSTEM_NAMES or (file.name.startswith("._") and not file.begins_as_image()):
                continue
            files.append(file)
        folders = []
        for name in sorted(self._folders.get(folder, ())):
            if name.lower() in SYSTEM_NAMES:
                continue
            if name.startswith("."):
                skipped["hidden folder"] += 1
            else:
                folders.append(name)
        return files, folders

    def identity(self, folder: str) -> None:
        """See `Tree.identity`; there are no links."""

    def stat(self, row: int) -> Stat:
        """Of a file."""
        return Stat(self._sizes[row], self._versions[row])

    def begins_as_image(self, row: int) -> bool:
        """Whether a file's first bytes are those of an image."""
        if self._begins is None or row in self.refusals:
            return False
        return self._begins(self.paths[row], self.places[row])

    def _folder(self, folder: str) -> array[int]:
        """The rows of a folder, which is made with all folders above it."""
        found = self._files.get(folder)
        if found is None:
            found = self._files[folder] = array("I")
            self._folders[folder] = set()
            above, _, name = folder[:-1].rpartition("/")
            above = above + "/" if above else ""
            self._folder(above)
            self._folders[above].add(name)
        return found


class _Member:
    """A `TreeFile`."""

    __slots__ = ("_row", "_tree")

    def __init__(self, tree: MemberTree, row: int) -> None:
        self._tree, self._row = tree, row

    @property
    def name(self) -> str:
        return self._tree.names[self._row]

    @property
    def path(self) -> str:
        return self._tree.paths[self._row]

    def stat(self) -> Stat:
        return self._tree.stat(self._row)

    def place(self) -> Place | None:
        return self._tree.places[self._row]

    def begins_as_image(self) -> bool:
        return self._tree.begins_as_image(self._row)

    def dead_link(self) -> str:
        return ""

    def refused(self) -> tuple[str, str] | None:
        return self._tree.refusals.get(self._row)
