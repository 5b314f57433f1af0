"""`ray job submit` as people run it: a process that the cluster starts, without a terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.distributed.conftest import HAS_DASHBOARD, RAY
from tests.folders import ENVIRONMENT, command
from tests.pipeline.outputs import published


@pytest.mark.skipif(not HAS_DASHBOARD, reason="jobs are submitted to the dashboard, which is in ray[default]")
def test_a_submitted_job_says_plain_lines(
    cluster: Any, source: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """Also without ``--address``: Ray tells a job where its cluster is."""
    packing = command(
        "create", source, tmp_path / "out", "--size", 24, "--shards", 6, "--engine", "ray", "--device", "cpu"
    )
    submit = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit", "--address", f"http://{cluster.webui_url}"]
    environment = {**ENVIRONMENT, **RAY, "NO_PROXY": "127.0.0.1"}
    done = subprocess.run([*submit, "--", *packing], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert published(tmp_path / "out") == undisturbed
    _, _, said = done.stdout.partition("Running entrypoint for job")
    said = said.partition("\n")[2]
    assert "train: 53 images in train-00000-of-00006.rec and 5 more\n" in said
    assert "53 packed, 7 rejected" in said and " images/s, shards 0-5\n" in said
    assert "\r" not in said and "\x1b[?25" not in said, "no progress bar"
