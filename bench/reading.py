"""The workload "reading 224 crops at random and in order": ``bench.readers``, which has contenders of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.environments import environment
from bench.readers import measure as readers
from bench.readers.contenders import READERS
from bench.readers.table import table

NAME = "reading"


def install(envs: Path, say: Callable[[str], None]) -> None:
    """Make its environments, in ``envs``; those that failed are tried again."""
    for name in sorted({each.environment for each in READERS}):
        found = environment(name, envs, retry=True, say=say)
        if found.python is None:
            say(f"{name} (reading) cannot be installed: {found.reason}")


def measure(photos: Path, work: Path, envs: Path, seconds: float) -> dict[str, Any]:
    """Its results, with their table as ``markdown``."""
    folder = work / "readers"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    found = readers.run(photos, folder, envs, seconds)
    return {**found, "markdown": f"## Reading crops of 224 x 224\n\n{table(found)}"}
