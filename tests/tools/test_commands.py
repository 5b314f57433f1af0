"""The commands: exit status, and what goes to which stream."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from tests.folders import Run


@pytest.fixture
def run(gpu_pack_command: Run) -> Run:
    """The command line, whatever its exit status."""
    return partial(gpu_pack_command, code=None)


def test_verify_succeeds_or_names_the_fault_and_fails(run: Run, dataset: Path) -> None:
    done = run("verify", dataset)
    assert done.returncode == 0
    assert "16 records in 4 files" in done.stdout and "no faults" in done.stdout
    path = dataset / "validation-00001-of-00002.rec"
    path.write_bytes(path.read_bytes()[:-4])
    done = run("verify", dataset, "--no-decode", "--quiet")
    assert done.returncode == 1
    assert f"{path}: at byte" in done.stdout
    done = run("verify", dataset, "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 1 and not found["ok"]
    assert found["fault_count"] == len(found["faults"])


def test_many_faults_are_shown_in_part_and_json_has_them_all(run: Run, record: Path) -> None:
    record.with_suffix(".idx").write_text("junk\n" * 300)
    done = run("verify", record)
    assert done.returncode == 1
    assert "more faults: --json lists them" in done.stdout
    assert len(done.stdout.splitlines()) < 60
    assert len(json.loads(run("verify", record, "--json").stdout)["faults"]) >= 300


def test_inspect_extract_and_index(run: Run, dataset: Path, tmp_path: Path) -> None:
    done = run("inspect", dataset, "-n", 2)
    assert done.returncode == 0 and "24 x 24" in done.stdout
    assert json.loads(run("inspect", dataset, "--json").stdout)["records"] == 16
    done = run("extract", dataset, tmp_path / "dest", "--split", "train", "--by-class")
    assert done.returncode == 0 and "13 files" in done.stdout
    next((tmp_path / "dest").rglob("*.jpg")).write_bytes(b"another file")
    done = run("extract", dataset, tmp_path / "dest", "--split", "train", "--by-class")
    assert done.returncode == 1 and "is there already" in done.stderr
    rec = dataset / "train-00000-of-00002.rec"
    done = run("index", rec, "--overwrite")
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
def test_an_error_is_one_line_on_standard_error(run: Run, arguments: tuple[str, ...], status: int) -> None:
    done = run(*arguments)
    assert done.returncode == status
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def test_names_do_not_steer_the_terminal(run: Run, dataset: Path) -> None:
    (dataset / "classes.txt").write_bytes(b"\x1b[2Jcleared\nclass 1\n")
    assert "\x1b" not in run("inspect", dataset).stdout
