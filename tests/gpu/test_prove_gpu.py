"""bench/prove_gpu.py in the CPU mode, on a few small pictures: whole, cut by time, killed, repeated."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.gpu.parts import PARTS
from tests.gpu.device import need_dali
from tests.gpu.pictures import jpeg, photograph
from tests.gpu.proof import mps_daemon

SCRIPT = Path(__file__).parents[2] / "bench" / "prove_gpu.py"


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    (folder / "deeper").mkdir(parents=True)
    for seed in range(3):
        (folder / "deeper" / f"{seed}.JPEG").write_bytes(jpeg(photograph(90 + seed, 70, seed)))
    return folder


def command(photos: Path, out: Path, *options: str) -> list[str]:
    return [sys.executable, str(SCRIPT), str(photos), "--out", str(out), "--rehearse", *options]


def prove(photos: Path, out: Path, *options: str, path: Path | None = None) -> tuple[int, dict, str]:
    """Exit status, parts and page."""
    environment = {**os.environ, "PATH": f"{path}{os.pathsep}{os.environ['PATH']}"} if path else None
    run = subprocess.run(
        command(photos, out, *options), capture_output=True, text=True, timeout=300, check=False, env=environment
    )
    assert (out / "prove_gpu.json").exists(), run.stderr
    page = (out / "gpu.md").read_text(encoding="utf-8")
    return run.returncode, json.loads((out / "prove_gpu.json").read_text(encoding="utf-8"))["parts"], page


def test_every_part_but_the_faults(photos, tmp_path):
    need_dali()
    names = [part for part in PARTS if part != "faults"]  # which the next test runs
    options = "--images", "20", "--part", *names
    status, parts, page = prove(photos, tmp_path / "out", *options, path=mps_daemon(tmp_path / "bin"))
    assert page.startswith("# Incomplete on rehearsal without a GPU: faults\n")
    assert status == 0, "all that was asked for is complete"
    found = {part: parts[part]["items"] for part in names}
    assert found["tests"]["test_settings.py"]["passed"] > 10
    assert found["decoders"]["linear, fancy_upsampling=True"]["load=1"]["mean"] >= 40
    assert all(trial["images/s"] > 0 for trial in found["sweep"].values())
    assert found["side_by_side"]["round 1"]["gpu"]["packed_by"] == {"gpu": 20}
    assert found["side_by_side"]["round 1"]["hybrid"]["packed"] == 20
    loaded = found["under_load"]["load=1"]
    assert loaded["compared"] + loaded["identical"] == 40
    assert loaded["repeats with other bytes"] == 0
    assert found["stages"]["host x1"]["images/s"] > found["stages"]["graph x1"]["images/s"]
    assert [trial["MPS servers"] for trial in found["mps"].values()] == [1]
    assert found["memory"]["run"]["packed"] == 20


def test_a_call_that_is_short_one_that_is_killed_and_one_that_goes_on(photos, tmp_path):
    need_dali()
    out = tmp_path / "out"
    status, parts, page = prove(photos, out, "--part", "faults", "--budget", "6")
    assert status == 3, "time ran out, nothing failed"
    assert not parts["faults"]["complete"]
    assert "- faults: no time for cpu, load=1, none" in page

    process = subprocess.Popen(command(photos, out, "--part", "faults"), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while "cpu, load=1, text" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not process.stdout.read().count("progressive"), "its child ended with it, and so this reading does"
    process.stdout.close()
    kept = json.loads((out / "prove_gpu.json").read_text(encoding="utf-8"))["parts"]["faults"]
    assert not kept["complete"]
    assert "cpu, load=1, empty" in kept["items"]

    # From a copy, as one does where only the last call's files are left.
    status, parts, page = prove(photos, tmp_path / "other", "--part", "faults", "--resume", str(out / "prove_gpu.json"))
    assert status == 0
    assert parts["faults"]["complete"]
    assert {name: parts["faults"]["items"][name] for name in kept["items"]} == kept["items"], "not measured again"
    assert {item["call"] for item in parts["faults"]["items"].values()} == {2, 3}
    assert "faults" not in page.split("## Incomplete parts")[1].split("##")[0]
    assert len(parts["faults"]["items"]) > 30
    assert all(kind["others_exact"] for kind in parts["faults"]["items"].values())
    assert not any(kind["silent"] for name, kind in parts["faults"]["items"].items() if "foreign" in name)
    assert any(kind["said"] for kind in parts["faults"]["items"].values()), "a batch failed, and the worker says why"

    begin = time.monotonic()
    status, again, _ = prove(photos, tmp_path / "other", "--part", "faults")
    assert (status, again) == (0, parts)
    assert time.monotonic() - begin < 10, "what is complete is not repeated"


def test_what_fails_costs_only_itself_and_is_repeated(photos, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    status, parts, page = prove(empty, tmp_path / "out", "--part", "facts")
    assert status == 1
    assert "no .jpg or .jpeg file in it" in parts["facts"]["items"]["photos"]["error"]
    assert parts["facts"]["why"] == "failed: photos"
    assert parts["facts"]["items"]["scratch"]["MB/s"] > 0, "what comes after it is measured"
    assert page.startswith("# FAILED on rehearsal without a GPU: facts, photos: ")

    status, parts, _ = prove(photos, tmp_path / "out", "--part", "facts")
    assert status == 0
    assert parts["facts"]["items"]["photos"]["count"] == 3
    assert [item["call"] for item in parts["facts"]["items"].values()] == [1, 1, 2]


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"parts": {"sweep": 1}}'])
def test_a_file_to_resume_that_is_none(photos, tmp_path, text):
    (tmp_path / "other.json").write_text(text, encoding="utf-8")
    options = "--part", "facts", "--resume", str(tmp_path / "other.json")
    run = subprocess.run(command(photos, tmp_path / "out", *options), capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.strip() == f"{tmp_path / 'other.json'}: not a file that prove_gpu.py wrote"
