"""What is measured of a process and its descendants, and how many images fit into the time."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from bench.measure import Run, measure
from bench.plan import Pace, choose, pace

linux = pytest.mark.skipif(sys.platform != "linux", reason="descendants are adopted on Linux")


def run(script: str, tmp_path: Path, limit: float = 60.0) -> Run:
    return measure([sys.executable, "-c", script], tmp_path / "scratch", own=False, limit=limit)


@linux
def test_daemons_count_and_are_ended(tmp_path: Path) -> None:
    script = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        held = bytearray(60_000_000)
        end = time.process_time() + 0.4
        while time.process_time() < end: pass
        open('there', 'w').write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
while not os.path.exists('there'): time.sleep(0.05)
time.sleep(0.5)
"""
    found = run(f"import os; os.chdir({str(tmp_path)!r})\n{script}", tmp_path)
    assert found.status == 0 and found.cpu > 0.4
    assert found.peak is not None and found.peak > 60_000_000
    assert not Path("/proc", (tmp_path / "there").read_text()).exists()


@linux
def test_what_hangs_is_ended_at_the_limit(tmp_path: Path) -> None:
    began = time.monotonic()
    found = run("import time; print('begun', flush=True); time.sleep(600)", tmp_path, limit=1.0)
    assert found.status is None and found.log == "begun\n" and time.monotonic() - began < 60


def test_failures_keep_their_words(tmp_path: Path) -> None:
    found = run("import sys; sys.exit('no such picture')", tmp_path)
    assert found.status == 1 and found.log == "no such picture\n"


def test_pace_from_two_runs() -> None:
    assert pace(100, 3.0, 600, 8.0) == Pace(2.0, 0.01)
    assert pace(100, 3.0, 600, 2.4) == Pace(0.0, 0.004)  # the second run was the faster: noise
    assert Pace(2.0, 0.01).seconds(300) == 5.0


def test_as_many_images_as_fit_or_fewer_rounds() -> None:
    paces = [Pace(1.0, 0.001), Pace(5.0, 0.004)]
    assert choose(paces, 115 * 3, 3, 500, 100_000) == (18_800, 3)
    assert choose(paces, 115 * 3, 3, 500, 2_000) == (2_000, 3)
    assert choose(paces, 25.0, 3, 500, 2_000) == (973, 2)
    assert choose(paces, 1.0, 3, 500, 2_000) == (500, 1)
