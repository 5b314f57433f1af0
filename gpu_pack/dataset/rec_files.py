"""The .rec files that a path, a pattern, a folder or an address means."""

from __future__ import annotations

import fnmatch
import glob
import re
from collections.abc import Iterable
from pathlib import Path

from gpu_pack.errors import SourceError
from gpu_pack.formats.manifest import NAME, read_manifest
from gpu_pack.stores.data_path import DataPath

_SHARD = re.compile(r"-(\d+)-of-(\d+)$")


def rec_files(path: DataPath) -> list[DataPath]:
    """The files, sorted.

    Raises:
        SourceError: nothing matches, a folder with several sets, or an incomplete set of shards.
    """
    if not isinstance(path, Path) and path.suffix == ".rec" and not glob.has_magic(path.name):
        return [path]
    if isinstance(path, Path):
        if path.is_dir():
            return _shards(path, path.glob("*.rec"))
        if not path.exists() and glob.has_magic(str(path)):
            return _matching(path, map(Path, glob.glob(str(path))))
        return [path]
    if glob.has_magic(path.name):
        return _matching(path, (item for item in _listed(path.parent) if fnmatch.fnmatchcase(item.name, path.name)))
    return [path] if path.is_file() else _shards(path, (item for item in _listed(path) if item.suffix == ".rec"))


def _listed(folder: DataPath) -> Iterable[DataPath]:
    """What is in a folder of an object store; on a web server, what its manifest names."""
    manifest = read_manifest(folder / NAME) if not isinstance(folder, Path) and folder.is_web else None
    return folder.iterdir() if manifest is None else [folder / name for name in manifest.files]


def _matching(pattern: DataPath, found: Iterable[DataPath]) -> list[DataPath]:
    if not (chosen := sorted(found, key=str)):
        raise SourceError(f"{pattern}: no file matches")
    return chosen


def _shards(folder: DataPath, files: Iterable[DataPath]) -> list[DataPath]:
    """The only set in a folder. Several are refused: nobody would notice that train and validation are mixed."""
    found = sorted(files, key=str)
    sets = sorted({_SHARD.sub("", file.stem) for file in found})
    if not found:
        raise SourceError(f"{folder}: no .rec file in it")
    if len(sets) > 1:
        names = ", ".join(sets[:5])
        raise SourceError(f"{folder}: {len(sets)} sets ({names}) are in it: name one, as in {sets[0]}*.rec")
    numbered = _SHARD.search(found[0].stem)
    if numbered and int(numbered[2]) != len(found):
        raise SourceError(f"{folder}: only {len(found)} of {int(numbered[2])} shards of {sets[0]} are in it")
    return found
