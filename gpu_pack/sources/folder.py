"""The images of a folder: a class for each top-level folder, also below folders of splits, or one class without any.

One scandir a folder and one stat a file: a hundred thousand files take well under a second, and the run notices later
that a file changed. Links to folders are followed, as im2rec does, but never in a circle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from gpu_pack.errors import SourceError, told
from gpu_pack.sources.class_names import check_class_names, order_classes
from gpu_pack.sources.found import Facts, Found
from gpu_pack.sources.layout import SplitFolder, find_splits, refuse_dead_links
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.tree import Tree, TreeFile, is_image, suffix


def find_in_folder(tree: Tree, options: SourceOptions, facts: Facts) -> Iterator[Found]:
    """Every image of a tree: a class for each top-level folder, or one of the tree's own name where there are none.

    Args:
        tree: the folders.
        options: their layout, and the order of their classes.
        facts: receives what is found besides.

    Raises:
        SourceError: an empty class, images beside classes, or links that lead nowhere where folders decide the labels.
    """
    skipped: Counter[str] = Counter()
    files, folders = tree.scan("", skipped)
    refuse_dead_links(tree, files)
    if not folders:
        if options.layout == "splits":
            raise SourceError(f"{tree.source}: {told('layout', options.layout)}: it holds no folders")
        yield from _find_below(tree, "", tree.name, None, facts.skipped)
        return
    facts.skipped += skipped
    divided = find_splits(tree, folders, options.layout)
    _refuse_loose_images(tree, files)
    facts.skipped.update(map(_kind, files))
    if divided is None:
        yield from _find_classes(tree, [SplitFolder("", folders)], options, facts)
        return
    facts.splits += [split.name for split in divided.splits]
    facts.skipped += divided.skipped
    facts.notices += divided.notices()
    yield from _find_classes(tree, divided.splits, options, facts)


def _refuse_loose_images(tree: Tree, files: Iterable[TreeFile]) -> None:
    for file in files:
        if is_image(file):
            raise SourceError(
                f"{tree.source}: image {file.name!r} lies beside the class folders and so has no class: "
                "move it into one of them, or out of the source"
            )


def _find_classes(tree: Tree, splits: list[SplitFolder], options: SourceOptions, facts: Facts) -> Iterator[Found]:
    """The images of the class folders of all splits, which have one list of classes."""
    facts.class_names = sorted({name for split in splits for name in split.classes})
    check_class_names(tree.source, facts.class_names)
    images: Counter[str] = Counter()
    skipped = {name: Counter[str]() for name in facts.class_names}
    for split in splits:
        above = ("", split.prefix)
        for name in order_classes(split.classes, options.class_order):
            for found in _find_below(tree, f"{split.prefix}{name}/", name, split.name or None, skipped[name], above):
                images[name] += 1
                yield found
    for each in skipped.values():
        facts.skipped += each
    if options.classes is None:
        _refuse_empty(tree, images, skipped)


def _refuse_empty(tree: Tree, images: Counter[str], skipped: Mapping[str, Counter[str]]) -> None:
    for name, kinds in skipped.items():
        if not images[name]:
            raise SourceError(
                f"{tree.source}: class folder {name!r} holds no image ({describe_skipped(kinds)}): "
                "remove it, or put images into it, since it would take a label number for nothing"
            )


def describe_skipped(skipped: Counter[str]) -> str:
    """What was there in place of images."""
    if not skipped:
        return "there are no files"
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in skipped.most_common(5))
    return f"the files seen are {kinds}, none of them JPEG, PNG, WebP, BMP or TIFF"


def _find_below(
    tree: Tree, folder: str, label: str, split: str | None, skipped: Counter[str], above: Iterable[str] = ()
) -> Iterator[Found]:
    """Every image below ``folder``: a folder's own files in sorted order, then its folders' in sorted order.

    A folder that several links lead to is listed once, and those ``above`` never, so that circles end.
    """
    visited = {tree.identity(each) for each in above}
    unvisited = [folder]
    while unvisited:
        folder = unvisited.pop()
        identity = tree.identity(folder)
        if identity is not None and identity in visited:
            skipped["linked folder listed already"] += 1
            continue
        visited.add(identity)
        files, folders = tree.scan(folder, skipped)
        for file in files:
            # A dead link without suffix may have been a folder of images: it is listed, and becomes a reject by name.
            if is_image(file) or ("." not in file.name and file.dead_link()):
                yield Found(file.path, file.stat(), label, file.place(), split, None, file.refused())
            else:
                skipped[_kind(file)] += 1
        unvisited += [f"{folder}{name}/" for name in reversed(folders)]


def _kind(file: TreeFile) -> str:
    """What a file that is no image is counted as."""
    if file.dead_link():
        return "link that leads nowhere"
    ending = suffix(file.name)
    if "." not in file.name:
        return "without suffix"
    return "." + ending if ending.isprintable() else "with a suffix that cannot be printed"
