"""The members of archives, or the objects of a bucket, as folders of images."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, pairwise, repeat

from gpu_pack.sources.columns import ROWS_AT_ONCE, Column
from gpu_pack.sources.places import Places
from gpu_pack.sources.text_column import Texts
from gpu_pack.sources.tree import SYSTEM_NAMES, TreeFile
from gpu_pack.stores.store import Stat
from gpu_pack.types import Place

_DUPLICATE = ("a later member of the archive has the same name, and is the one that counts", "duplicate")
#: Whether the member at a path and place begins as an image does.
Begins = Callable[[str, Place | None], bool]


class MemberTree:
    """A `gpu_pack.sources.tree.Tree` that is filled member by member; a million of them take some 100 MB.

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
        self.places = Places()
        self.refusals: dict[int, tuple[str, str]] = {}
        self._paths, self._sizes, self._versions = Texts(), Column("q"), Column("q")
        self._recent: list[tuple[str, Stat]] = []  # which are added together
        self._count = 0

    def __len__(self) -> int:
        """The number of files."""
        return self._count

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
            path: as `Entry.path`; behind its last ``/`` the same as ``path_in_tree``.
            stat: of the file.
            place: where it lies inside of another file.
            refused: the reason and the code of a reject, for a file that is not to be read.
        """
        row = self._count
        self._count += 1
        folder = path_in_tree.rpartition("/")[0]
        self._folder(folder + "/" if folder else "").append(row)
        self._recent.append((path, stat))
        if len(self._recent) >= ROWS_AT_ONCE:
            self._settle()
        if place is not None:
            self.places.put(row, place)
        if refused is not None:
            self.refusals[row] = refused

    @property
    def paths(self) -> Texts:
        """Of all files, as `Entry.path`."""
        self._settle()
        return self._paths

    def _settle(self) -> None:
        if self._recent:
            paths, stats = zip(*self._recent, strict=True)
            sizes, versions = zip(*stats, strict=True)
            self._recent = []
            self._paths.append_all(paths)
            self._sizes.append_all(sizes)
            self._versions.append_all(versions)

    def add_folder(self, folder: str) -> None:
        """Add a folder, with ``/`` at the end, which may stay empty."""
        self._folder(folder)

    def move_loose(self, rows: range, folder: str) -> None:
        """Put those of some rows that lie in no folder into one."""
        loose = self._files[""]
        moved = [row for row in loose if row in rows]
        self._files[""] = array("I", (row for row in loose if row not in rows))
        self._folder(folder).extend(moved)

    def scan(self, folder: str, skipped: Counter[str]) -> tuple[Iterable[TreeFile], list[str]]:
        """See `Tree.scan`."""
        folders = []
        for name in sorted(self._folders.get(folder, ())):
            if name.lower() in SYSTEM_NAMES:
                continue
            if name.startswith("."):
                skipped["hidden folder"] += 1
            else:
                folders.append(name)
        return _Files(self, self._sorted(self._files.get(folder, ()))), folders

    def identity(self, folder: str) -> None:
        """See `Tree.identity`; there are no links."""

    def stat(self, row: int) -> Stat:
        """Of a file."""
        self._settle()
        return Stat(self._sizes.at(row), self._versions.at(row))

    def begins_as_image(self, row: int) -> bool:
        """Whether a file's first bytes are those of an image."""
        if self._begins is None or row in self.refusals:
            return False
        return self._begins(self.paths.at(row), self.places[row])

    def members(self, rows: Sequence[int]) -> Iterator[_Member]:
        """The files of some rows, some made at a time."""
        self._settle()
        for start in range(0, len(rows), ROWS_AT_ONCE):
            some = rows[start : start + ROWS_AT_ONCE]
            stats = map(Stat, self._sizes.many(some), self._versions.many(some))
            columns = (self._paths.many(some), stats, self.places.many(some))
            yield from map(_Member, repeat(self), some, *columns)

    def _sorted(self, rows: Sequence[int]) -> Sequence[int]:
        """Rows of a folder in the order of their names, and of their paths where these are the same.

        Buckets list them so: then nothing is held for each.
        """
        before = ("", "")
        for start in range(0, len(rows), ROWS_AT_ONCE):
            for path in self.paths.many(rows[start : start + ROWS_AT_ONCE]):
                key = _key(path)
                if key < before:
                    return array("I", sorted(rows, key=lambda row: _key(self.paths.at(row))))
                before = key
        return rows

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


class _Files:
    """The files of a folder, made one at a time, whenever they are asked for.

    Args:
        rows: sorted; of several with one path, the last counts.
    """

    def __init__(self, tree: MemberTree, rows: Sequence[int]) -> None:
        self._tree, self._rows = tree, rows

    def __iter__(self) -> Iterator[TreeFile]:
        for file, after in pairwise(chain(self._tree.members(self._rows), [None])):
            assert file is not None
            if after is not None and file.path == after.path:
                self._tree.refusals.setdefault(file.row, _DUPLICATE)
            if file.name.lower() not in SYSTEM_NAMES and (not file.name.startswith("._") or file.begins_as_image()):
                yield file


def _key(path: str) -> tuple[str, str]:
    return path.rpartition("/")[2], path


class _Member:
    """A `TreeFile`."""

    __slots__ = ("_place", "_stat", "_tree", "name", "path", "row")

    def __init__(self, tree: MemberTree, row: int, path: str, stat: Stat, place: Place | None) -> None:
        self._tree, self.row, self.path, self._stat, self._place = tree, row, path, stat, place
        self.name = path.rpartition("/")[2]

    def stat(self) -> Stat:
        return self._stat

    def place(self) -> Place | None:
        return self._place

    def begins_as_image(self) -> bool:
        return self._tree.begins_as_image(self.row)

    def dead_link(self) -> str:
        return ""

    def refused(self) -> tuple[str, str] | None:
        return self._tree.refusals.get(self.row)
