"""The page that bench/prove_gpu.py writes from its figures, and what counts as a failure."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.gpu.findings import page
from bench.gpu.verdict import failures
from tests.gpu.proof import proof, trial, under_load

ROOT = Path(__file__).parents[2]


def first_line(data: dict) -> str:
    return page(data).splitlines()[0]


def test_a_proof_without_a_fault():
    data = proof()
    assert failures(data) == []
    text = page(data)
    assert text.splitlines()[0] == "# Proven on GPU: 22,000 images/s, which reaches the target of 21,400"
    assert "| `processes` | None | 6 | change |" in text, "the fastest that keeps the pixels"
    assert "| `batch_size` | 128 | 128 |  |" in text
    assert "Under MPS: 24,000 images/s" in text
    assert "| 20,000 | cuda | 0.5 |" in text
    assert "0 / 30.0 / 60" in text
    assert "| round 1 | 9,000 | 22,000 | 24,000 | 2.44 |" in text
    assert "103 % of the target of 21,400" in text
    assert "No picture is under 30 dB." in text


def test_the_same_data_give_the_same_page():
    data = proof()
    before = copy.deepcopy(data)
    assert page(data) == page(json.loads(json.dumps(data)))
    assert data == before


def test_a_target_that_is_missed_is_no_failure():
    data = proof()
    for run in data["parts"]["side_by_side"]["items"].values():
        run["gpu"] = {"images_per_second": 15_000}
    assert failures(data) == []
    assert first_line(data).endswith("15,000 images/s, which falls short of the target of 21,400")


@pytest.mark.parametrize(("count", "reason"), [(0, "this GPU has none"), (7, "libnvcuvid.so.1 cannot be loaded")])
def test_no_engine_that_can_be_used_is_the_first_line(count, reason):
    data = proof()
    data["parts"]["tests"]["items"]["test_contract.py"] = {"error": "2 of 50 fail"}
    data["parts"]["facts"]["items"]["machine"]["gpus"][0] |= {"jpeg_engines": count, "jpeg_engines_reason": reason}
    assert first_line(data) == f"# FAILED on GPU: 0 JPEG engines can be used: {reason} (and 1 more)"


@pytest.mark.parametrize(
    ("engines", "told"), [(0, "the JPEG engines were never busy in 1 of"), (None, "NVML does not say how busy")]
)
def test_engines_that_do_not_work_under_load_are_the_first_line(engines, told):
    data = proof()
    data["parts"]["sweep"]["items"]["all"] = trial(23_000, engines=engines)
    assert told in first_line(data)
    assert first_line(data).startswith("# FAILED")


def test_engines_that_were_idle_while_packing():
    data = proof()
    data["parts"]["under_load"]["items"]["load=0.5"] = under_load(jpeg_engines="never busy (samples: 9): no engine")
    assert "under load, load=0.5: the JPEG engines were never busy" in first_line(data)
    data["parts"]["under_load"]["items"]["load=0"] = data["parts"]["under_load"]["items"].pop("load=0.5")
    assert failures(data) == []


def test_every_picture_that_disagrees_is_listed():
    data = proof()
    low = [{"key": key, "path": f"cats/{key}.jpg", "dB": 11.5} for key in range(300)]
    data["parts"]["under_load"]["items"]["load=1"] = under_load(**{"under 30 dB": low})
    assert failures(data) == ["under load, load=1: 300 pictures under 30 dB"]
    assert "| load=1 | 299 | cats/299.jpg | 11.5 |" in page(data)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"mean": 39.9}, "39.9 dB in the mean"),
        ({"in one file only": 3}, "3 pictures are in one of the files only"),
        ({"compared": 0, "mean": None, "worst": None}, "packed no picture of its own"),
    ],
)
def test_other_disagreement_under_load(changes, told):
    data = proof()
    data["parts"]["under_load"]["items"]["load=1"] = under_load(**changes)
    assert told in "".join(failures(data))
    assert told in page(data)


def test_parts_that_are_missing_or_were_cut_off():
    data = proof()
    del data["parts"]["memory"]
    data["parts"]["sweep"] |= {"complete": False, "why": "no time for threads=8"}
    assert first_line(data) == "# Incomplete on GPU: sweep, memory"
    assert "- sweep: no time for threads=8" in page(data)
    assert "- memory: not begun" in page(data)


def test_a_part_that_failed_as_a_whole_and_mps_that_is_not_there():
    data = proof()
    data["parts"]["stages"] |= {"complete": False, "why": "failed: ImportError: no module"}
    data["parts"]["mps"]["items"] = {"unavailable": {"reason": "nvidia-cuda-mps-control is not on PATH"}}
    assert failures(data) == ["stages: failed: ImportError: no module"]
    assert "Not measured: nvidia-cuda-mps-control is not on PATH" in page(data)


def test_the_page_is_made_again_from_the_file(tmp_path):
    (tmp_path / "proof.json").write_text(json.dumps(proof()), encoding="utf-8")
    command = [sys.executable, "-m", "bench.gpu.findings", str(tmp_path / "proof.json"), str(tmp_path / "gpu.md")]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)
    assert (tmp_path / "gpu.md").read_text(encoding="utf-8") == page(proof())
