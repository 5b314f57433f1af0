"""How a folder is laid out: folders of splits with class folders in them, or class folders alone."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gpu_pack.errors import SourceError, told
from gpu_pack.formats.notices import Notice
from gpu_pack.sources.source_options import Layout
from gpu_pack.sources.splits import split_name_fault
from gpu_pack.sources.tree import IMAGE_SUFFIXES, Tree, TreeFile, is_image, suffix

_TRAIN = "train"
#: Beside a folder `train`, in any case of the letters.
_OTHER_SPLITS = frozenset({"val", "valid", "validation", "test"})


class SplitFolder(NamedTuple):
    """A folder of class folders, by name; the source itself, with an empty name, where nothing is divided."""

    name: str
    classes: list[str]

    @property
    def prefix(self) -> str:
        """What the paths of its class folders begin with."""
        return self.name + "/" if self.name else ""


@dataclass(frozen=True)
class SplitFolders:
    """A source that is divided already.

    Attributes:
        splits: its folders with class folders in them.
        left_out: its other folders.
        skipped: what those folders hold besides.
    """

    splits: list[SplitFolder]
    left_out: list[str]
    skipped: Counter[str]

    def notices(self) -> list[Notice]:
        """What was recognised."""
        names = [split.name for split in self.splits]
        found = [Notice("presplit", len(names), ", ".join(names))]
        if self.left_out:
            found.append(Notice("split-left-out", len(self.left_out), ", ".join(self.left_out)))
        return found


def find_splits(tree: Tree, folders: Sequence[str], layout: Layout) -> SplitFolders | None:
    """The splits that a source is divided into; None where its folders are classes.

    Without being told, it is divided where every folder has the name of a split and `train` is there with class
    folders in it.

    Args:
        tree: the source.
        folders: names of its folders, sorted.
        layout: what the user says of it.

    Raises:
        SourceError: images beside class folders, a link that leads nowhere, or no such splits where they are asked for.
    """
    if layout == "auto" and not _named_as_splits(folders):
        _refuse_doubtful(tree, folders)
        return None
    if layout == "classes":
        return None
    skipped: Counter[str] = Counter()
    found = {name: tree.scan(name + "/", skipped) for name in folders}
    divided = [name for name, (_, inside) in found.items() if inside]
    if layout == "auto" and not divided:
        return None
    for files, _ in found.values():
        refuse_dead_links(tree, files)
    if layout == "auto" and _TRAIN not in map(str.lower, divided):
        return None
    if not divided:
        raise SourceError(f"{tree.source}: {told('layout', 'splits')}: none of its folders has class folders in it")
    for name in divided:
        _check_split(tree, name, found[name][0])
    splits = [SplitFolder(name, found[name][1]) for name in divided]
    return SplitFolders(splits, [name for name in folders if name not in divided], skipped)


def _named_as_splits(folders: Sequence[str]) -> bool:
    names = {name.lower() for name in folders}
    return _TRAIN in names and bool(names & _OTHER_SPLITS) and names <= _OTHER_SPLITS | {_TRAIN}


def _refuse_doubtful(tree: Tree, folders: Sequence[str]) -> None:
    """Refuse `train` and another split with the same class folders, beside folders of other names."""
    train = next((name for name in folders if name.lower() == _TRAIN), None)
    others = [name for name in folders if name.lower() in _OTHER_SPLITS]
    if train is None or not others:
        return
    classes = set(tree.scan(train + "/", Counter())[1])
    for other in others:
        shared = sorted(classes & set(tree.scan(other + "/", Counter())[1]))
        if len(shared) > 1:  # one, such as `images`, can be how a class is stored
            extra = next(name for name in folders if name not in (train, *others))
            raise SourceError(
                f"{tree.source}: {train}/ and {other}/ hold the same class folders ({shared[0]}, {shared[1]}, ...), "
                f"and {extra}/ lies beside them: layout='splits' (--layout splits) takes them for splits, "
                "layout='classes' (--layout classes) for classes"
            )


def refuse_dead_links(tree: Tree, files: Iterable[TreeFile]) -> None:
    """Refuse links that may have been class folders: without them, other classes would get other labels.

    Raises:
        SourceError: there is one. Those with the name of an image are no class folders; reading rejects them.
    """
    for file in files:
        if not file.name.startswith(".") and suffix(file.name) not in IMAGE_SUFFIXES and (reason := file.dead_link()):
            raise SourceError(
                f"{os.path.join(tree.source, file.path)}: a link that leads nowhere ({reason}), where folders decide "
                "the labels: mend it, or remove it if it is no class"
            )


def _check_split(tree: Tree, name: str, files: Iterable[TreeFile]) -> None:
    for file in files:
        if is_image(file):
            raise SourceError(
                f"{tree.source}: image {name}/{file.name} lies beside the class folders of split {name!r} and so has "
                f"no class: move it, or take {name!r} itself as a class with --layout classes"
            )
    if fault := split_name_fault(name):
        raise SourceError(f"{tree.source}: folder {name!r} cannot give a split its name, {fault}: rename it")
