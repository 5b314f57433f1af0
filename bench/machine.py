"""What a run is made on and from."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]


def describe(cores: Sequence[int], work: Path) -> dict[str, Any]:
    """For the results: processor, cores, memory, system, code, where ``work`` lies, and the load before."""
    return {
        "processor": processor(),
        "cores": len(cores),
        "memory_gb": round(memory() / 1e9),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "commit": commit(),
        "work": "in memory (tmpfs)" if on_tmpfs(work) else "on a disk",
        "load_before": round(os.getloadavg()[1], 2) if hasattr(os, "getloadavg") else None,
    }


def available_cores() -> list[int]:
    """Numbers of the cores that this process may use."""
    bound = hasattr(os, "sched_getaffinity")
    return sorted(os.sched_getaffinity(0)) if bound else list(range(os.cpu_count() or 1))


def memory() -> int:
    """Bytes; 0 where the system does not tell."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown processor")


def commit() -> str:
    """Of this checkout."""
    try:
        git = ["git", "describe", "--always", "--dirty", "--exclude=*"]
        done = subprocess.run(git, cwd=_ROOT, capture_output=True, text=True)
    except OSError:
        return "of no commit"
    return done.stdout.strip() or "of no commit"


def digest(folder: Path) -> str:
    """Of names and sizes."""
    files = (path for path in folder.rglob("*") if path.is_file())
    found = sorted((path.relative_to(folder).as_posix(), path.stat().st_size) for path in files)
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16]


def on_tmpfs(path: Path) -> bool:
    """Whether a folder lies in memory."""
    if not os.path.exists("/proc/mounts"):
        return False
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    holding = [mount for mount in mounts if path.resolve().is_relative_to(mount[1])]
    return bool(holding) and max(holding, key=lambda mount: len(mount[1]))[2] == "tmpfs"
