"""The commands as processes: exit status, what goes where, and never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "gpu_pack", *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    assert "Traceback" not in done.stderr
    return done


def test_verify_succeeds_or_names_the_fault_and_fails(dataset: Path) -> None:
    done = _run("verify", dataset)
    assert done.returncode == 0
    assert "16 records in 4 files" in done.stdout and "no faults" in done.stdout
    path = dataset / "validation-00001-of-00002.rec"
    path.write_bytes(path.read_bytes()[:-4])
    done = _run("verify", dataset, "--no-decode", "--quiet")
    assert done.returncode == 1
    assert f"{path}: at byte" in done.stdout
    done = _run("verify", dataset, "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 1 and not found["ok"]
    assert found["fault_count"] == len(found["faults"])


def test_many_faults_are_shown_in_part_and_json_has_them_all(record: Path) -> None:
    record.with_suffix(".idx").write_text("junk\n" * 300)
    done = _run("verify", record)
    assert done.returncode == 1
    assert "more faults: --json lists them" in done.stdout
    assert len(done.stdout.splitlines()) < 60
    assert len(json.loads(_run("verify", record, "--json").stdout)["faults"]) >= 300


def test_inspect_extract_and_index(dataset: Path, tmp_path: Path) -> None:
    done = _run("inspect", dataset, "-n", 2)
    assert done.returncode == 0 and "24 x 24" in done.stdout
    assert json.loads(_run("inspect", dataset, "--json").stdout)["records"] == 16
    done = _run("extract", dataset, tmp_path / "dest", "--split", "train", "--by-class")
    assert done.returncode == 0 and "13 files" in done.stdout
    done = _run("extract", dataset, tmp_path / "dest", "--split", "train", "--by-class")
    assert done.returncode == 0 and "13 files" in done.stdout, "the same command again goes on"
    next((tmp_path / "dest").rglob("*.jpg")).write_bytes(b"somebody's own")
    done = _run("extract", dataset, tmp_path / "dest", "--split", "train", "--by-class")
    assert done.returncode == 1 and "is there already" in done.stderr
    rec = dataset / "train-00000-of-00002.rec"
    done = _run("index", rec, "--overwrite")
    assert done.returncode == 0 and " records" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("verify", "nowhere"), 1),
        (("verify",), 2),
        (("verify", ".", "--workers", "0"), 2),
        (("inspect", "nowhere.rec"), 1),
        (("extract", "nowhere", "dest"), 1),
        (("extract", ".", "dest", "--by-class", "--flat"), 2),
        (("extract", ".", "dest", "--keys", "x"), 2),
        (("index", "nowhere.rec"), 1),
        (("index", "x.txt"), 2),
    ],
)
def test_what_cannot_be_is_one_sentence(arguments: tuple[str, ...], status: int) -> None:
    done = _run(*arguments)
    assert done.returncode == status
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def test_names_do_not_steer_the_terminal(dataset: Path) -> None:
    (dataset / "classes.txt").write_bytes(b"\x1b[2Jcleared\nclass 1\n")
    assert "\x1b" not in _run("inspect", dataset).stdout
