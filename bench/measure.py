"""Runs a contender's process and tells time, CPU time, memory and output."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
_OWN = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "PYTHONHOME")
#: Nothing is looked up, sent or kept outside the scratch folder.
_QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "DO_NOT_TRACK": "1",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "NO_PROXY": "127.0.0.1",
}


@dataclass(frozen=True)
class Run:
    """One whole process with its descendants.

    Attributes:
        status: its exit status; None where the time limit ended it.
        seconds, cpu: on the clock, and of all cores.
        peak: bytes of memory of all processes at once, PSS; None where the system does not tell.
        log: the end of what it printed.
    """

    status: int | None
    seconds: float
    cpu: float
    peak: int | None
    log: str


def environment(scratch: Path, python: str, own: bool) -> dict[str, str]:
    """The variables of a contender, as in an activated environment; ``own``: it runs from this checkout."""
    kept = {name: value for name, value in os.environ.items() if name not in _OWN}
    folders = dict.fromkeys(
        ("HOME", "TMPDIR", "XDG_CACHE_HOME", "HF_HOME", "DATA_OPTIMIZER_CACHE_FOLDER"), str(scratch)
    )
    programs = os.pathsep.join((os.path.dirname(python), kept.get("PATH", os.defpath)))
    return {**kept, **_QUIET, **folders, "PATH": programs, **({"PYTHONPATH": str(HERE.parent)} if own else {})}


def measure(
    command: Sequence[str], scratch: Path, *, own: bool, limit: float, cores: Sequence[int] | None = None
) -> Run:
    """Run a command to its end or to the limit in seconds, on ``cores`` (all).

    ``scratch`` is emptied: the command's home and temporary folder.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    log = scratch.with_name("log")
    asked = {"command": list(command), "limit": limit, "cores": cores, "log": str(log)}
    supervisor = [sys.executable, str(HERE / "supervise.py"), json.dumps(asked)]
    done = subprocess.run(
        supervisor, env=environment(scratch, command[0], own), stdout=subprocess.PIPE, text=True, check=True
    )
    return Run(**json.loads(done.stdout), log=log.read_text(errors="replace")[-20_000:])


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
