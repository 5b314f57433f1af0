"""Environments of contenders: kept, and why one failed."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from bench import environments
from bench.environments import environment, shortened, why

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for an interpreter")


@pytest.fixture
def requirements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that requirements files are looked for in; environments stand for this one, to save time."""

    def create(place: Path, with_pip: bool) -> None:
        (place / "bin").mkdir(parents=True)
        (place / "bin/python").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        (place / "bin/python").chmod(0o755)

    monkeypatch.setattr(environments.venv, "create", create)
    folder = tmp_path / "requirements"
    folder.mkdir()
    (folder / "build.txt").write_text("setuptools\n")
    monkeypatch.setattr(environments, "REQUIREMENTS", folder)
    return folder


def test_what_cannot_be_installed_is_told_and_remembered(requirements: Path, tmp_path: Path) -> None:
    (requirements / "none.txt").write_text("./nothing-1.0-py3-none-any.whl\n")
    found = environment("none", tmp_path / "envs")
    assert found.python is None
    assert "nothing-1.0-py3-none-any.whl" in found.reason and str(tmp_path) not in found.reason
    (told,) = (tmp_path / "envs").glob("none-*.json")
    told.write_text(told.read_text().replace("nothing-1.0", "kept"))
    assert "kept" in environment("none", tmp_path / "envs").reason
    assert "nothing-1.0" in environment("none", tmp_path / "envs", retry=True).reason


def test_a_contender_that_needs_more_is_told(requirements: Path, tmp_path: Path) -> None:
    (requirements / "empty.txt").write_text("# nothing\n")
    (tmp_path / "program.py").write_text(
        "import os, sys; sys.exit(os.environ.get('BENCH_MXNET_SOURCE', 'no source'))\n"
    )
    assert environment("empty", tmp_path / "envs", script=tmp_path / "program.py").reason == "no source"
    plain = environment("empty", tmp_path / "envs")
    assert plain.python is not None and Path(plain.python).exists()


def test_the_last_error_is_the_reason_without_hosts_and_paths() -> None:
    printed = """
  Downloading https://files.example.org/x.whl
ERROR: Could not find a version that satisfies x==1 (from a.b.org)
\x1b[31mERROR: No matching distribution for x==1 at https://index.example.com/simple in /home/me/req.txt\x1b[0m

[notice] A new release of pip
"""
    assert why(printed) == "No matching distribution for x==1 at (address) in req.txt"
    assert why("") == "no word why"
    assert len(shortened("x" * 1000)) < 200
