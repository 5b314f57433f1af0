"""The members of one or several archives as folders, with what is said of those that are not to be read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gpu_pack.errors import SourceError
from gpu_pack.formats.notices import Notice
from gpu_pack.sources.archives.member_names import clean_name, shown_name, stem
from gpu_pack.sources.folder import find_in_folder
from gpu_pack.sources.found import Facts, Found
from gpu_pack.sources.member_tree import MemberTree
from gpu_pack.sources.root_folder import RootedTree, root_folder
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.tree import IMAGE_SUFFIXES, begins_as_image, is_image, may_be_image, suffix
from gpu_pack.stores.store import Stat
from gpu_pack.types import Place

_DIGITS = re.compile(r"\d+")
#: Ids of WordNet, ImageNet's classes: numbers that number nothing.
_WORDNET = re.compile(r"n\d{8}")


class Member(NamedTuple):
    """A member of an archive that is a file, or seems to be one.

    Attributes:
        name: as the archive has it.
        size: in bytes.
        place: where its data lies; None where it is not to be read.
        kind: ``file``; anything else is no file.
        head: its first bytes, where they are known.
        refused: the reason and the code of a reject.
    """

    name: str
    size: int
    place: Place | None
    kind: str = "file"
    head: bytes = b""
    refused: tuple[str, str] | None = None

    @property
    def is_image(self) -> bool:
        """By its name, or by its first bytes."""
        return may_be_image(self.name.rpartition("/")[2]) or begins_as_image(self.head)


class ArchiveTree:
    """Archives as one tree of folders.

    Args:
        facts: of their source.
        archives: their paths.
    """

    def __init__(self, facts: Facts, archives: Sequence[str]) -> None:
        self._facts, self._archives = facts, archives
        self._images: set[str] = set()
        self.tree = MemberTree(facts.source, stem(archives[0]), lambda path, _: path in self._images)
        self._nameless: list[Found] = []
        self._starts: list[int] = []

    def begin_archive(self) -> None:
        """What is added from here on lies in the next archive."""
        self._starts.append(len(self.tree))

    def add_folder(self, name: str) -> None:
        """Add a folder, which may be the class of no image."""
        path, _ = clean_name(name)
        if path:
            self.tree.add_folder(f"{path}/")

    def add(self, member: Member, archive: str, version: int, below: str = "") -> None:
        """Add a file.

        Args:
            member: the file.
            archive: what its shown path begins with.
            version: of the archive.
            below: the folder that the archive's own folders are in; empty, or with ``/`` at the end.
        """
        path, fault = clean_name(member.name)
        if fault:
            self.add_nameless(member, archive, version, fault)
            return
        refused = member.refused
        shown = f"{archive}!/{path}"
        if member.kind != "file":
            if suffix(path) not in IMAGE_SUFFIXES:
                self._facts.skipped[member.kind] += 1
                return
            refused = (f"not a file but a {member.kind}", "unreadable")
        elif member.is_image and not may_be_image(path.rpartition("/")[2]):
            self._images.add(shown)
        self.tree.add(below + path, shown, Stat(member.size, version), member.place, refused)

    def add_nameless(self, member: Member, archive: str, version: int, reason: str, code: str = "name") -> None:
        """Add a file that belongs to no class, or whose name tells none: a reject if it looks like an image."""
        if suffix(member.name) in IMAGE_SUFFIXES:
            path = f"{archive}!/{shown_name(member.name)}"
            self._nameless.append(Found(path, Stat(member.size, version), (), refused=(reason, code)))
        else:
            self._facts.skipped["name that cannot be used" if code == "name" else "member without a class"] += 1

    def rows_of_archive(self) -> dict[str, int]:
        """The rows of the last archive, by shown path."""
        paths, start = self.tree.paths, self._starts[-1]
        return {paths[row]: row for row in range(start, len(paths))}

    def images(self, options: SourceOptions) -> Iterator[Found]:
        """The images of all archives; see `find_in_folder`.

        Raises:
            SourceError: several archives whose images have no class.
        """
        if not options.labels:
            self._name_classes(options)
        root = root_folder(self.tree, options.layout == "splits")
        if root:
            self._facts.notices.append(Notice("archive-root", 1, root.rstrip("/")))
            yield from find_in_folder(RootedTree(self.tree, root), options, self._facts)
        else:
            yield from find_in_folder(self.tree, options, self._facts)
        flat = self._facts.class_names is None  # with one class, that of every image
        yield from (each._replace(label=self.tree.name) if flat else each for each in self._nameless)

    def _name_classes(self, options: SourceOptions) -> None:
        """Archives without folders: each is a class, unless they are the parts of one set."""
        files, folders = self.tree.scan("", Counter())
        if folders or not any(map(is_image, files)):
            return
        names = [stem(path) for path in self._archives]
        if len(names) > 1 and options.layout != "classes" and _is_sequence(names):
            raise SourceError(
                f"{self._facts.source}: the archives hold neither class folders nor labels, and their names "
                f"({names[0]}, {names[1]}) are those of parts, not of classes: --labels FILE gives the images their "
                "labels, --layout classes makes each archive a class"
            )
        if len(names) > 1:  # one alone gives its name in any case
            ends = [*self._starts[1:], len(self.tree)]
            for name, start, end in zip(names, self._starts, ends, strict=True):
                self.tree.move_loose(range(start, end), f"{name}/")
        self._facts.notices.append(Notice("archives-as-classes", len(names), names[0]))


def _is_sequence(names: Sequence[str]) -> bool:
    """Whether names differ by numbers alone, as those of shards do."""
    return len({_DIGITS.sub("0", name) for name in names}) == 1 and not all(map(_WORDNET.fullmatch, names))
