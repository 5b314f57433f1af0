"""What ``im2rec.py --list`` does (MXNet 1.9.1): a folder's images into .lst files, same keys, labels and order.

A key is an image's place before the shuffle; every folder that holds an image itself has a label, numbered as they are
met; labels are written as ``%f``. The shuffle is Python's, with seed 100, which no version of Python has changed.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gpu_pack.console import say
from gpu_pack.errors import SourceError
from gpu_pack.formats import lst
from gpu_pack.im2rec.options import Options
from gpu_pack.sources.tree import folder_identity
from gpu_pack.stores.atomic_file import write_atomically

_Identity = tuple[int, int]


@dataclass
class ImageTree:
    """The images below a folder, in the order of their keys.

    Attributes:
        paths: relative to the root, with ``/`` between folders.
        labels: one of each path.
        folders: by label; ``.`` is the root itself.
    """

    paths: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)


def make_lists(options: Options) -> int:
    """Write the lists that ``options`` ask for; gives the number of images whose names no list can carry.

    Raises:
        SourceError: no such folder, or no image in it (after writing the empty lists that im2rec.py writes).
        OutputError: a list cannot be written.
    """
    found = find_images(options.root, options.exts, recursive=options.recursive)
    if options.recursive:
        for label, folder in enumerate(found.folders):
            print(folder, label)
    order = list(range(len(found.paths)))
    if options.shuffle:
        random.Random(100).shuffle(order)
    bad = {row for row, path in enumerate(found.paths) if not path.isprintable() and _breaks_lines(path)}
    names, listed = [], 0
    for suffix, rows in divide(order, options.chunks, options.train_ratio, options.test_ratio):
        names.append(options.prefix + suffix + ".lst")
        kept = [row for row in rows if row not in bad] if bad else rows
        listed += len(kept)
        write_im2rec_list(Path(names[-1]), found, kept)
    if not order:
        raise SourceError(_nothing(options))
    _tell(found, bad, listed, names)
    return len(bad)


def find_images(root: str, exts: Collection[str], *, recursive: bool) -> ImageTree:
    """Every file below ``root`` with one of the suffixes ``exts``, as ``os.walk(root, followlinks=True)`` meets them.

    Folders that cannot be read are named and passed over; so are links back to a folder above them.

    Raises:
        SourceError: there is no such folder.
    """
    if not os.path.isdir(root):
        raise SourceError(f"{root}: not a folder" if os.path.exists(root) else f"{root}: no such folder")
    found = ImageTree()
    pending: list[tuple[str, tuple[_Identity, ...]]] = [("", ())]
    while pending:
        folder, above = pending.pop()
        path = os.path.join(root, folder)
        identity = folder_identity(path)
        if identity in above:
            say(f"{path}: leads back to a folder above it; not walked again")
            continue
        files, folders = _scan(path, exts)
        prefix = folder + "/" if folder else ""
        if files:
            found.paths += [prefix + name for name in files]
            found.labels += [len(found.folders)] * len(files)
            found.folders.append(folder or ".")
        if recursive:
            chain = (*above, identity) if identity else above
            pending += [(prefix + name, chain) for name in reversed(folders)]
    return found


def _scan(path: str, exts: Collection[str]) -> tuple[list[str], list[str]]:
    """Names of the images and of the folders right below ``path``, sorted."""
    files, folders = [], []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if _is(entry.is_dir):
                    folders.append(entry.name)
                elif os.path.splitext(entry.name)[1].lower() in exts and _is(entry.is_file):
                    files.append(entry.name)
    except OSError as error:
        say(f"{path}: cannot be listed, and is passed over: {error.strerror or error}")
    return sorted(files), sorted(folders)


def divide(order: list[int], chunks: int, train_ratio: float, test_ratio: float) -> Iterator[tuple[str, list[int]]]:
    """``(what the list's name ends in, its rows)``. As in im2rec.py the cuts come from the nominal size of a chunk,
    so that rounding may leave a row out.
    """
    size = (len(order) + chunks - 1) // chunks
    train, test = int(size * train_ratio), int(size * test_ratio)
    for number in range(chunks):
        chunk = order[number * size : (number + 1) * size]
        name = f"_{number}" if chunks > 1 else ""
        if train_ratio == 1.0:
            yield name, chunk
            continue
        if test_ratio:
            yield name + "_test", chunk[:test]
        if train_ratio + test_ratio < 1.0:
            yield name + "_val", chunk[test + train :]
        yield name + "_train", chunk[test : test + train]


def write_im2rec_list(path: Path, found: ImageTree, rows: list[int]) -> None:
    """Write one .lst file, in one step: an earlier one stays until this one is complete.

    Raises:
        OutputError: it cannot be written.
    """
    texts = [f"{label:f}" for label in range(len(found.folders))]
    labels = map(texts.__getitem__, map(found.labels.__getitem__, rows))
    write_atomically(path, lst.format_rows(zip(rows, labels, map(found.paths.__getitem__, rows), strict=True)))


def _breaks_lines(path: str) -> bool:
    """Whether a line with this path would be read as something else."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return True
    return any(character in path for character in "\t\n\r")


def _tell(found: ImageTree, bad: set[int], listed: int, names: list[str]) -> None:
    for row in sorted(bad):
        say(f"left out: {found.paths[row]!r}: a tab, a line end or bytes that are not UTF-8 in its name: rename it")
    total = len(found.paths)
    cut = total - listed - len(bad)
    say(
        f"{listed:,} of {total:,} images in {_some(names)}"
        + (f"; {cut:,} in no list, as im2rec.py's ratios cut" if cut > 0 else "")
        + (f"; {len(bad):,} left out" if bad else "")
    )


def _some(names: list[str]) -> str:
    return ", ".join(names) if len(names) < 5 else f"{names[0]} and {len(names) - 1} more"


def _nothing(options: Options) -> str:
    hint = "" if options.recursive else "; --recursive looks into its sub-folders too"
    return f"{options.root}: no file with suffix {', '.join(options.exts)}{hint}"


def _is(question: Callable[[], bool]) -> bool:
    """What `os.DirEntry` answers; no, where it cannot look."""
    try:
        return question()
    except OSError:
        return False
