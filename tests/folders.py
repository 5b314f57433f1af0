"""Folders of small pictures, and the command as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

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
    root = tmp_path / "photos"
    for label, name in enumerate(("ant", "bee", "cat")):
        for number in range(10):
            write_picture(root / name / f"{number:02d}.jpg", 10 * label + number)
    return root


def command(*args: object) -> list[str]:
    """The `gpu-pack` of this very source tree."""
    return [sys.executable, "-m", "gpu_pack", *map(str, args)]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


@pytest.fixture
def gpu_pack_command(tmp_path: Path) -> Run:
    """Runs the command in ``tmp_path``; no traceback may ever come out of it."""

    def run(*args: object, code: int | None = 0, **kwargs: object) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command(*args), cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, **kwargs
        )  # type: ignore[call-overload]
        assert "Traceback" not in done.stderr, done.stderr
        assert code is None or done.returncode == code, done.stderr
        return done

    return run
