"""Every list, record and index that MXNet's im2rec.py wrote, byte for byte."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gpu_pack.errors import SourceError
from tests.im2rec.helpers import GOLDENS, IMAGES, outputs, run


def other_pixels() -> str:
    """The first step at which this OpenCV computes other pixels than MXNet's did; empty where it does not."""
    decoded = cv2.imread(str(IMAGES / "a" / "landscape.jpg"), 1)
    assert decoded is not None
    gray = cv2.imread(str(IMAGES / "a" / "landscape.jpg"), 0)
    assert gray is not None
    steps: dict[str, Any] = {
        "decode": decoded,
        "decode gray": gray,
        "shrink": cv2.resize(decoded, (32, 18)),
        "enlarge": cv2.resize(decoded, (160, 90)),
        "jpeg": cv2.imencode(".jpg", decoded, [cv2.IMWRITE_JPEG_QUALITY, 95])[1],
        "png": cv2.imencode(".png", decoded, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1],
    }
    sums = {name: hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest() for name, value in steps.items()}
    return next((name for name in sums if sums[name] != GOLDENS["pixels"][name]), "")


OTHER = other_pixels()


@pytest.mark.parametrize("case", GOLDENS["list"], ids=lambda case: " ".join(case["flags"]) or "no flags")
def test_lists(case: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if any(case["files"].values()):
        assert run(*case["flags"], "--list", tmp_path / "data", IMAGES) == 0
    else:
        with pytest.raises(SourceError, match=r"no file with suffix \.JPG"):
            run(*case["flags"], "--list", tmp_path / "data", IMAGES)
    assert outputs(tmp_path) == case["files"]
    assert capsys.readouterr().out == case["stdout"]


@pytest.mark.parametrize("case", GOLDENS["pack"], ids=lambda case: case["name"])
def test_records(case: dict[str, Any], tmp_path: Path) -> None:
    if OTHER and not any(flag.startswith("--pass") for flag in case["flags"]):
        pytest.skip(f"OpenCV {cv2.__version__} computes other pixels here than the OpenCV of the goldens, at: {OTHER}")
    for name, text in case["lists"].items():
        (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    status = run(*case["flags"], tmp_path / case["prefix"], IMAGES)
    found = outputs(tmp_path)
    rejects = [name for name in found if name.endswith(".rejects.jsonl")]
    assert status == (3 if rejects else 0)
    assert {name: found[name] for name in found if name not in case["lists"] and name not in rejects} == case["files"]
