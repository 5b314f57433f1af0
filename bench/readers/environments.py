"""A virtual environment for each contender, from its pinned list in requirements/."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements")
#: What building from source needs that newer virtual environments do not have.
_TO_BUILD = ("setuptools<81", "wheel")


class NotInstalledError(Exception):
    """A contender that cannot be installed here; the message says why."""


def interpreter(name: str, folder: Path) -> Path:
    """The Python of ``name``'s environment in ``folder``, which is made where it is not there or out of date.

    Raises:
        NotInstalledError: pip failed.
    """
    wanted = (REQUIREMENTS / f"{name}.txt").read_text()
    home, done = folder / name, folder / name / "requirements.txt"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if python.exists() and done.exists() and done.read_text() == wanted:
        return python
    shutil.rmtree(home, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    _run(name, [sys.executable, "-m", "venv", str(home)])
    pip = [str(python), "-m", "pip", "install", "--quiet"]
    _run(name, [*pip, *_TO_BUILD])
    # Its own setuptools builds what has no wheel: an isolated one would be the newest.
    _run(name, [*pip, "--no-build-isolation", "-r", str(REQUIREMENTS / f"{name}.txt")])
    done.write_text(wanted)
    return python


def _run(name: str, command: list[str]) -> None:
    print(f"{name}: {' '.join(command[1:5])} ...", file=sys.stderr, flush=True)
    found = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if found.returncode:
        lines = [line for line in found.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
        raise NotInstalledError(next((line for line in lines if "rror" in line), lines[-1] if lines else "pip failed"))
