"""bench/prove_gpu.py runs to its end in the CPU mode, on a few small pictures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gpu.device import need_dali
from tests.gpu.pictures import jpeg, photograph

SCRIPT = Path(__file__).parents[2] / "bench" / "prove_gpu.py"


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    (folder / "deeper").mkdir(parents=True)
    for seed in range(3):
        (folder / "deeper" / f"{seed}.JPEG").write_bytes(jpeg(photograph(90 + seed, 70, seed)))
    return folder


def prove(photos: Path, out: Path, *options: str) -> tuple[int, dict]:
    command = [sys.executable, str(SCRIPT), str(photos), "--out", str(out), "--cpu", "--budget", "2", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (out / "prove_gpu.json").exists(), done.stderr
    return done.returncode, json.loads((out / "prove_gpu.json").read_text(encoding="utf-8"))["parts"]


def test_every_part_but_the_tests_themselves(photos, tmp_path):
    need_dali()
    status, parts = prove(photos, tmp_path / "out", "--skip", "tests", "--images", "20")
    assert {name: part["error"] for name, part in parts.items() if "error" in part} == {}
    assert status == 0
    assert parts["agreement"]["linear,fancy=1,load=1.0"]["mean"] >= 40
    faults = {name: kind for name, kind in parts["faults"].items() if "verdict" in (kind if "," in name else {})}
    assert len(faults) > 30
    assert all(kind["others_exact"] for kind in faults.values())
    assert not any(kind["silent"] for kind in faults.values() if "foreign" in kind)
    assert parts["faults"]["cpu,load=1 said"], "a Huffman table that is none makes its batch fail, and it says why"
    assert parts["sweep"]["best_images/s"] > 0
    assert "left to the CPU" not in parts["sweep"]["trials"][0]
    assert parts["stages"]["graph x1 images/s"] > 0
    assert parts["stages"]["host x1 images/s"] > parts["stages"]["graph x1 images/s"]
    assert parts["compare"]["images/s"]["cpu"] > 0
    assert parts["memory"]["run"]["packed"] == 20
    assert "agreement" in (tmp_path / "out" / "prove_gpu.txt").read_text(encoding="utf-8")


def test_a_part_that_fails_costs_only_itself(tmp_path):
    need_dali()
    empty = tmp_path / "empty"
    empty.mkdir()
    status, parts = prove(empty, tmp_path / "out", "--only", "environment", "faults")
    assert status == 1
    assert "no .jpg or .jpeg file" in parts["faults"]["error"]
    assert parts["environment"]["cores"] >= 1, "what was measured before the failure is kept"
