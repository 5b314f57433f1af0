"""Refuses outputs of merge and divide that would destroy their inputs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from gpu_pack.errors import OutputError, UsageError
from gpu_pack.output.destination import Destination
from gpu_pack.stores.data_path import DataPath


def refuse_places(paths: Iterable[DataPath], out: Destination) -> None:
    """Refuse an output that is an input, or inside of one, or has one inside.

    Raises:
        UsageError: it is.
        OutputError: a file is in the way.
    """
    for path in paths:
        if _overlap(path, out):
            raise UsageError(f"{out}: the output and the input {path} lie in one another: choose a folder of its own")
    if out.store is None and out.folder.exists() and not out.folder.is_dir():
        raise OutputError(f"{out}: a file of that name is in the way of the output folder")


def _overlap(path: DataPath, out: Destination) -> bool:
    if not isinstance(path, Path):
        if out.store is None:
            return False
        place, inner_place = path.address if path.suffix != ".rec" else path.address.parent, out.store.folder
        return place == inner_place or (path.suffix != ".rec" and place.holds(inner_place)) or inner_place.holds(place)
    if out.store is not None:
        return False
    inner, real = Path(os.path.realpath(out.folder)), Path(os.path.realpath(path))
    folder = real if path.is_dir() else real.parent
    return folder == inner or (path.is_dir() and real in inner.parents) or inner in real.parents
