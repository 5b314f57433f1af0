"""The workload "reading 224 crops at random and in order": ``bench.readers``, which has contenders of its own."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


def exists() -> bool:
    return importlib.util.find_spec("bench.readers") is not None


def install(envs: Path, say: Callable[[str], None]) -> None:
    """Make its environments, below ``envs``."""
    table = importlib.import_module("bench.readers.contenders").CONTENDERS
    environments = importlib.import_module("bench.readers.environments")
    for name in sorted({each.environment for each in table}):
        try:
            environments.interpreter(name, envs / "readers")
        except environments.NotInstalledError as error:
            say(f"{name} (reading) cannot be installed: {error}")


def measure(photos: Path, work: Path, envs: Path, seconds: float) -> dict[str, Any]:
    """Its results, with their table as ``markdown``."""
    folder = work / "readers"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (envs / "readers").mkdir(parents=True, exist_ok=True)
    (folder / "environments").symlink_to(envs / "readers")
    found: dict[str, Any] = importlib.import_module("bench.readers.measure").run(photos, folder, seconds)
    table = importlib.import_module("bench.readers.table").table(found)
    return {**found, "markdown": f"## Reading crops of 224 x 224\n\n{table}"}
