"""Finds the .rec files that a path stands for, and the manifest beside them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gpu_pack.errors import FormatError, SourceError, UsageError
from gpu_pack.formats.manifest import NAME, Manifest, read_manifest
from gpu_pack.stores.address import StoreOptions, is_address
from gpu_pack.stores.data_path import DataPath, PathLike, data_path
from gpu_pack.tools.faults import Faults, unreadable


@dataclass(frozen=True)
class Target:
    """One .rec file.

    Attributes:
        rec: its path.
        manifest: the manifest beside it that names it, or None.
        split: its split, by the manifest.
    """

    rec: DataPath
    manifest: Manifest | None = None
    split: str | None = None

    @property
    def idx(self) -> DataPath:
        return self.rec.with_suffix(".idx")

    @property
    def lst(self) -> DataPath:
        return self.rec.with_suffix(".lst")

    @property
    def split_name(self) -> str:
        """By the manifest, or else by the file's name."""
        return self.split or self.rec.stem.split("-")[0]


@dataclass(frozen=True)
class Located:
    """What a path stands for.

    Attributes:
        folder: the folder of the records.
        whole: the path is the folder, not a file in it.
        targets: in the manifest's order, followed by files that it does not name.
        manifest: None if there is none or it is damaged.
        damage: what is wrong with the manifest.
    """

    folder: DataPath
    whole: bool
    targets: tuple[Target, ...]
    manifest: Manifest | None
    damage: FormatError | None


def as_paths(paths: PathLike | Iterable[PathLike], options: StoreOptions) -> list[DataPath]:
    """One path or address, or several, as a list."""
    if isinstance(paths, (str, os.PathLike)) or not isinstance(paths, Iterable):
        return [data_path(paths, options)]
    return [data_path(path, options) for path in paths]


def local_paths(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], command: str) -> list[Path]:
    """One path, or several, as a list, for a command that reads files of this machine only.

    Raises:
        UsageError: an address.
    """
    given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    for path in given:
        if is_address(os.fspath(path)):
            raise UsageError(f"{path}: {command} reads files on this machine: copy it here first")
    return [Path(path) for path in given]


def locate(path: DataPath) -> Located:
    """The records of a folder, or one .rec file.

    Of a folder on a web server, which lists no files, the manifest names them.

    Raises:
        SourceError: nothing there, no records in the folder, or no permission to look.
    """
    try:
        is_folder = _is_folder(path)
        folder = path if is_folder else path.parent
        listed = folder.iterdir() if is_folder and not _is_web(folder) else ()
        found = sorted((item for item in listed if item.suffix == ".rec"), key=str) if is_folder else [path]
    except (OSError, ValueError) as error:
        raise unreadable(path, error if isinstance(error, OSError) else OSError(str(error))) from error
    if not is_folder and path.suffix in (".idx", ".lst"):
        raise SourceError(f"{path}: name the .rec file, not its {path.suffix}")
    manifest, damage = None, None
    try:
        manifest = _manifest(folder / NAME)
    except FormatError as error:
        damage = error
    if not found and manifest is None and damage is None:
        unfinished = ", but an unfinished run: the same `gpu-pack create` command resumes it"
        raise SourceError(f"{path}: no .rec file in this folder{unfinished if (folder / '.gpu-pack').is_dir() else ''}")
    splits = manifest.splits.items() if manifest is not None else ()
    known = {shard: Target(folder / shard, manifest, name) for name, split in splits for shard in split.shards}
    if is_folder:
        others = (Target(path) for path in found if path.name not in known)
        return Located(folder, True, (*known.values(), *others), manifest, damage)
    # The manifest beside a file that it does not name says nothing about that file.
    target = known.get(path.name, Target(path))
    return Located(folder, False, (target,), target.manifest, damage)


def _is_folder(path: DataPath) -> bool:
    if isinstance(path, Path):
        is_folder = path.is_dir()
        if not is_folder and not path.exists():
            raise SourceError(f"{path}: no such file or folder")
        return is_folder
    if path.suffix != ".rec" and path.is_web and (path / NAME).exists():
        return True
    try:
        path.stat()
    except FileNotFoundError:
        if path.suffix == ".rec" or path.is_web:
            raise
        return True
    return False


def _is_web(path: DataPath) -> bool:
    return not isinstance(path, Path) and path.is_web


def _manifest(path: DataPath) -> Manifest | None:
    """The manifest, if there is one; stores that may not list answer "denied" for one that is not there."""
    return read_manifest(path) if isinstance(path, Path) or path.exists() else None


def check_counts(targets: Iterable[Target], records: Mapping[str | None, int], faults: Faults) -> None:
    """Compare the number of records of each split with the manifest's: a file cut between two records looks whole."""
    for split, target in {target.split: target for target in targets}.items():
        if target.manifest is None or split is None:
            continue
        packed, found = target.manifest.splits[split].packed, records[split]
        if found != packed:
            faults.add(target.rec, f"split {split} holds {found:,} records, and the manifest says {packed:,}")
