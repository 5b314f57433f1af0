"""Tars, plain or compressed, as folders of images; a tar of tars has a class in each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from gpu_pack.errors import SourceError
from gpu_pack.formats.notices import Notice
from gpu_pack.sources.archives.archive_tree import ArchiveTree, Member
from gpu_pack.sources.archives.damage import damage_notices
from gpu_pack.sources.archives.member_names import clean_name, is_tar_name, shown_name, stem
from gpu_pack.sources.archives.plain_tar import PlainTar, open_inner, open_plain, reserve
from gpu_pack.sources.archives.tar_walk import Damage, TarMember, TarWalk
from gpu_pack.sources.found import Facts, Found
from gpu_pack.sources.open_source import OpenSource, SourceFiles
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.spool import Spool
from gpu_pack.sources.tree import IMAGE_SUFFIXES, suffix


def open_tar(files: SourceFiles, options: SourceOptions, classes: tuple[str, ...] | None, spool: Spool) -> OpenSource:
    """The images of tars, which are one set.

    Args:
        files: one tar or several, of which compressed ones are spooled.
        options: their layout.
        classes: names by label.
        spool: for compressed ones.
    """
    facts = Facts(files.source)
    return OpenSource(files.store, _find(files, options, facts, spool), facts)


def _find(files: SourceFiles, options: SourceOptions, facts: Facts, spool: Spool) -> Iterator[Found]:
    tree = ArchiveTree(facts, files.paths)
    reserve(files, spool)
    for path in files.paths:
        tree.begin_archive()
        with open_plain(files.store, path, spool) as tar:
            _Reader(tree, facts, options, spool).read(tar)
    if not len(tree.tree) and facts.notices:
        raise SourceError(f"{files.source}: nothing can be read from it as a tar: {facts.notices[0].example}")
    yield from tree.images(options)


#: Members behind damage that may be those of one archive in a tar of tars; ImageNet's classes have up to 1,300.
_MOST_ASTRAY = 100_000


class _Waiting(NamedTuple):
    """A member that can be placed once all of its archive is known."""

    member: TarMember
    tar: PlainTar
    below: str


class _Reader:
    """Puts the members of one tar into the tree."""

    def __init__(self, tree: ArchiveTree, facts: Facts, options: SourceOptions, spool: Spool) -> None:
        self._tree, self._facts, self._options, self._spool = tree, facts, options, spool
        self._astray: list[_Waiting] = []
        self._hard_links: list[_Waiting] = []
        self._nested = self._images = False

    def read(self, tar: PlainTar) -> None:
        """All of them.

        Raises:
            SourceError: damage hides a class.
        """
        damage, _ = self._walk(tar, "", self._add_outer)
        if self._nested and self._options.classes is None:
            _refuse_lost_class(tar, damage)
        for waiting in self._astray:
            self._add_astray(*waiting)
        rows: dict[str, int] = self._tree.rows_of_archive() if self._hard_links else {}
        for member, own, below in self._hard_links:
            self._add_link(member, own, below, rows)

    def _walk(
        self, tar: PlainTar, below: str, add: Callable[[TarMember, PlainTar, str], None]
    ) -> tuple[list[Damage], int]:
        """Add all members; gives the damage, and how many there are."""
        walk = TarWalk(tar.read_at, tar.end, tar.start, tar.forward)
        count, size = 0, 0
        for member in walk:
            count, size = count + 1, size + member.size
            add(member, tar, below)
        self._facts.notices += damage_notices(tar, walk.damage, size // count if count else 0)
        return walk.damage, count

    def _add_outer(self, member: TarMember, tar: PlainTar, below: str) -> None:
        cut = member.fault is not None and member.fault[1] == "truncated"
        if member.kind == "file" and (member.fault is None or cut) and is_tar_name(member.name):
            path, fault = clean_name(member.name)
            if not fault:
                self._nested = True
                self._add_inner(member, tar, path)
                return
        if not member.astray:
            self._images = self._images or (member.kind == "file" and suffix(member.name) in IMAGE_SUFFIXES)
            self._add(member, tar, below)
        elif self._images or self._nested or len(self._astray) > _MOST_ASTRAY:
            self._add_astray(member, tar, below)
        else:
            self._astray.append(_Waiting(member, tar, below))

    def _add_inner(self, member: TarMember, tar: PlainTar, path: str) -> None:
        """The members of a tar in a tar, whose name is their class."""
        folder = path.rpartition("/")[0]
        below = f"{folder}/{stem(path)}/" if folder else f"{stem(path)}/"
        self._tree.add_folder(below)
        with open_inner(tar, member, path, self._spool) as inner:
            before = len(self._facts.notices)
            _, members = self._walk(inner, below, self._add)
            if not members and self._options.classes is None:
                _refuse_unreadable(inner, self._facts.notices[before:])

    def _add_astray(self, member: TarMember, tar: PlainTar, below: str) -> None:
        if not self._nested:
            self._add(member, tar, below)
        elif member.kind == "file":
            reason = "found behind a damaged header, where it is not known which of the archives it belongs to"
            self._tree.add_nameless(_as_file(member, tar), tar.shown, tar.version, reason, "damaged")

    def _add(self, member: TarMember, tar: PlainTar, below: str) -> None:
        if member.kind == "folder":
            self._tree.add_folder(below + member.name)
        elif member.kind == "hard link":
            self._hard_links.append(_Waiting(member, tar, below))
        else:
            self._tree.add(_as_file(member, tar), tar.shown, tar.version, below)

    def _add_link(self, member: TarMember, tar: PlainTar, below: str, rows: dict[str, int]) -> None:
        """A hard link: a further name of the data of a member."""
        target, fault = clean_name(member.link)
        row = None if fault else rows.get(f"{tar.shown}!/{target}")
        if row is None:
            reason = f"a hard link to {shown_name(member.link)}, which is no file of the archive"
            found = Member(member.name, -1, None, refused=(reason, "missing"))
        else:
            tree = self._tree.tree
            found = Member(member.name, tree.stat(row).size, tree.places[row], refused=tree.refusals.get(row))
        self._tree.add(found, tar.shown, tar.version, below)


def _as_file(member: TarMember, tar: PlainTar) -> Member:
    place = None if member.fault or member.kind != "file" else tar.place(member.offset, member.size)
    return Member(member.name, member.size, place, member.kind, member.head, member.fault)


def _refuse_unreadable(tar: PlainTar, damage: list[Notice]) -> None:
    reason = damage[0].example if damage else f"{tar.shown}, which is empty"
    raise SourceError(
        f"{reason}: nothing can be read from it as a tar, and its class would have no image: replace it, or leave "
        "it out"
    )


def _refuse_lost_class(tar: PlainTar, damage: list[Damage]) -> None:
    for notice in damage_notices(tar, damage, 0):
        raise SourceError(
            f"{notice.example}, which may hide an archive in it, and so a class, without which the others would have "
            "other labels: --classes FILE with the names of all of them keeps the labels"
        )
