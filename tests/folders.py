"""Folders of small pictures, and the command line: in this process, or as a process of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import cv2
import numpy as np
import pytest

from gpu_pack.cli import main as cli
from gpu_pack.console import clean
from gpu_pack.errors import GpuPackError

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def picture(number: int, width: int = 40, height: int = 30) -> np.ndarray:
    """A picture that no other number has."""
    rng = np.random.default_rng(number)
    small = rng.integers(0, 256, (4, 5, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def write_picture(path: Path, number: int, **size: int) -> None:
    """As whatever the suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(path.suffix, picture(number, **size))
    assert done
    path.write_bytes(data.tobytes())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three classes of ten."""
    return write_photos(tmp_path / "photos")


def write_photos(root: Path) -> Path:
    """Three classes of ten."""
    for label, name in enumerate(("ant", "bee", "cat")):
        for number in range(10):
            write_picture(root / name / f"{number:02d}.jpg", 10 * label + number)
    return root


def command(*args: object) -> list[str]:
    """The `gpu-pack` of this very source tree."""
    return [sys.executable, "-m", "gpu_pack", *map(str, args)]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


@pytest.fixture
def gpu_pack_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line in ``tmp_path`` as the program does, but in this process, which saves half a second each."""

    def run(*args: object, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        monkeypatch.chdir(tmp_path)
        words = [str(argument) for argument in args]
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            try:
                status = cli.run(words)
            except GpuPackError as error:
                status = error.exit_code
                print(f"gpu-pack: {clean(str(error))}", file=sys.stderr)
        assert code is None or status == code, err.getvalue()
        return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def gpu_pack_process(tmp_path: Path) -> Run:
    """Runs the program as a process in ``tmp_path``; no traceback may ever come out of it."""

    def run(*args: object, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command(*args), cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=120
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert code is None or done.returncode == code, done.stderr
        return done

    return run
