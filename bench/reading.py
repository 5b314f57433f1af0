"""The workload "reading 224 crops at random and in order": ``bench.readers``, which has contenders of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.readers import measure as readers
from bench.readers.contenders import CONTENDERS
from bench.readers.environments import NotInstalledError, interpreter
from bench.readers.table import table

NAME = "reading"


def install(envs: Path, say: Callable[[str], None]) -> None:
    """Make its environments, below ``envs``."""
    for name in sorted({each.environment for each in CONTENDERS}):
        try:
            interpreter(name, envs / "readers")
        except NotInstalledError as error:
            say(f"{name} (reading) cannot be installed: {error}")


def measure(photos: Path, work: Path, envs: Path, seconds: float) -> dict[str, Any]:
    """Its results, with their table as ``markdown``."""
    folder = work / "readers"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (envs / "readers").mkdir(parents=True, exist_ok=True)
    (folder / "environments").symlink_to(envs / "readers")
    found = readers.run(photos, folder, seconds)
    return {**found, "markdown": f"## Reading crops of 224 x 224\n\n{table(found)}"}
