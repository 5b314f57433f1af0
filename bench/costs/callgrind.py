"""Counts instructions: one process under valgrind's callgrind, whose counts are written at marks."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
#: A function that nothing else calls.
_MARK = "getppid"
#: Of one count before the parts, in seconds: a process takes a quarter of a minute.
_MOST_SECONDS = 600
_SUMMARY = re.compile(r"^summary: (\d+)$", re.MULTILINE)


def available() -> bool:
    """Whether valgrind is installed."""
    return shutil.which("valgrind") is not None


def interpreter() -> str:
    """What the counts depend on besides our code: builds of one version of Python differ by a third."""
    compiler = " ".join(platform.python_compiler().split())
    return (
        f"{platform.python_implementation()} {platform.python_version()} ({compiler}), {platform.system()} "
        f"{platform.machine()}, NumPy {np.__version__}"
    )


def count(parts: Sequence[str], images: int) -> dict[str, int]:
    """Instructions an image of each part, in the order in which `bench.costs.workloads` runs them.

    Raises:
        RuntimeError: the process failed, or made other marks than it should.
    """
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder, "counts")
        files = Path(folder, "files")
        files.mkdir()
        command = [
            "valgrind", "--tool=callgrind", f"--dump-before={_MARK}", f"--callgrind-out-file={counts}",
            sys.executable, "-m", "bench.costs.workloads", str(files),
        ]  # fmt: skip
        # Hashes, and so the order of sets, are the same each time; OpenBLAS's threads would spin and be counted.
        environment = {**os.environ, "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        run = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_MOST_SECONDS, check=False
        )
        if run.returncode:
            raise RuntimeError(f"{' '.join(command)}: exit status {run.returncode}: {run.stderr[-2000:]}")
        marks = 2 * len(parts)
        found = [total(Path(f"{counts}.{number}").read_text()) for number in range(1, marks + 1)]
        if Path(f"{counts}.{marks + 2}").exists():
            raise RuntimeError(f"{_MARK} was called more than {marks} times, by something else than the marks")
    return {part: round(found[2 * place + 1] / images) for place, part in enumerate(parts)}


def total(text: str) -> int:
    """The instructions that one of callgrind's files is about: those since the file before.

    Raises:
        ValueError: it is no such file.
    """
    found = _SUMMARY.search(text)
    if found is None:
        raise ValueError("a file of callgrind without a summary")
    return int(found[1])
