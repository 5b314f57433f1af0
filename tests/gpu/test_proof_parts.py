"""What bench/prove_gpu.py is made of: items and their time, processes, MPS, samples, and the comparison of files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.gpu import child
from bench.gpu.drive import drive
from bench.gpu.mps import running_mps
from bench.gpu.parts.under_load import compare
from bench.gpu.processes import run_within
from bench.gpu.record import Record
from bench.gpu.session import ItemFailedError, OutOfTimeError, Session
from bench.gpu.utilisation import Utilisation
from tests.gpu.pictures import jpeg, photograph
from tests.gpu.proof import mps_daemon

ROOT = Path(__file__).parents[2]
MACHINE = {"gpu": "GPU", "driver": "580.1"}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def begin(path: Path, machine: dict | None = None) -> Record:
    record = Record.begin(path, path, "a call", machine or MACHINE, False)
    record.start("sweep")
    return record


def session(record: Record, seconds: float, clock: Clock) -> Session:
    return Session(record, "sweep", Path("photos"), seconds, clock=clock)


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody waits for may be left as a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def wait_until(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_items_stop_where_the_next_does_not_fit_and_go_on_in_the_next_call(tmp_path):
    clock, measured = Clock(), []

    def work(name):
        measured.append(name)
        clock.now += 9
        return {"MB/s": 1.0}

    def part(seconds):
        record = begin(tmp_path / "proof.json")
        one = session(record, seconds, clock)
        for name in "abc":
            one.item(name, one.expected(5), lambda name=name: work(name))
        record.finish("sweep")

    with pytest.raises(OutOfTimeError, match=r"no time for c: it takes about 11 s, 7 s were left"):
        part(25)
    assert not begin(tmp_path / "proof.json").complete("sweep")
    part(25)
    assert measured == ["a", "b", "c"]
    assert Record.read(tmp_path / "proof.json").complete("sweep")


def test_what_is_expected_comes_from_items_of_the_same_kind(tmp_path):
    record = begin(tmp_path / "proof.json")
    record.put("sweep", "alone", {"seconds": 3.0})
    one = session(record, 99, Clock())
    assert one.expected(90, "round") == 90
    record.put("sweep", "round 1", {"seconds": 50.0})
    assert one.expected(90, "round") == 60


def test_an_item_that_failed_is_kept_in_its_call_and_tried_in_the_next(tmp_path):
    record = begin(tmp_path / "proof.json")
    with pytest.raises(ItemFailedError):
        session(record, 99, Clock()).item("a", 1, lambda: {}["missing"])
    assert "missing" in session(record, 99, Clock()).item("a", 1, lambda: {"images/s": 1})["error"]
    record.finish("sweep")
    assert record.data["parts"]["sweep"] | {"items": {}} == {"items": {}, "complete": False, "why": "failed: a"}
    later = begin(tmp_path / "proof.json")
    assert session(later, 99, Clock()).item("a", 1, lambda: {"images/s": 1})["images/s"] == 1


def test_figures_of_another_machine_are_left_alone(tmp_path, capsys):
    begin(tmp_path / "proof.json").put("sweep", "a", {"images/s": 1})
    other = Record.begin(tmp_path / "new.json", tmp_path / "proof.json", "a call", {"gpu": "another"}, False)
    assert other.items("sweep") == {}
    assert "is of another machine" in capsys.readouterr().out
    assert Record.read(tmp_path / "proof.json").items("sweep") != {}


def test_a_process_that_an_item_ends_costs_that_item(tmp_path):
    record = begin(tmp_path / "proof.json")
    lives = iter("ab")

    def start():
        now = Record.read(record.path)
        name = next(lives, None)
        if name is None:
            now.finish("sweep")
            return child.DONE, ""
        now.begin_item("sweep", name)
        return -11, "Fatal Python error: Segmentation fault"

    done = drive(record, "sweep", start)
    assert done.data["parts"]["sweep"]["why"] == "failed: a; b"
    assert "status -11: Fatal Python error: Segmentation fault" in done.items("sweep")["b"]["error"]


def test_a_part_whose_process_measures_nothing_is_not_started_for_ever(tmp_path):
    done = drive(begin(tmp_path / "proof.json"), "sweep", lambda: (1, "ImportError"))
    assert done.data["parts"]["sweep"]["why"] == "failed: ImportError"


def test_an_item_that_the_end_of_the_call_cuts_off_is_no_failure(tmp_path):
    record = begin(tmp_path / "proof.json")
    record.begin_item("sweep", "a")
    done = drive(record, "sweep", lambda: (None, ""))
    assert done.items("sweep") == {}
    assert done.data["parts"]["sweep"]["why"] == "a was cut off by the end of the call"
    assert "running" not in done.data


def test_a_page_that_cannot_be_written_costs_no_figures(tmp_path):
    record = begin(tmp_path / "proof.json")
    record.put("side_by_side", "round 1", {})
    assert Record.read(record.path).items("side_by_side") == {}, "the part was not started"
    record.start("side_by_side")
    record.put("side_by_side", "round 1", {"images/s": 7})
    assert "The page cannot be written" in (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert Record.read(record.path).items("side_by_side")["round 1"]["images/s"] == 7


def test_a_command_that_does_not_end_is_killed_with_what_it_started(tmp_path):
    script = (
        "import subprocess, sys; print(subprocess.Popen(['sleep', '99']).pid, file=sys.stderr, flush=True); input()"
    )
    status, said = run_within([sys.executable, "-c", script], 2, tmp_path / "log", {})
    assert status is None
    wait_until(lambda: gone(int(said)))
    assert run_within([sys.executable, "-c", "raise SystemExit('why')"], 20, tmp_path / "log", {}) == (1, "why")


def test_mps_runs_while_it_is_needed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{mps_daemon(tmp_path / 'bin')}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(ZeroDivisionError), running_mps() as service:
        folder = Path(service.environment["CUDA_MPS_PIPE_DIRECTORY"])
        daemon = int((folder / "nvidia-cuda-mps-control.pid").read_text(encoding="ascii"))
        assert not gone(daemon)
        raise ZeroDivisionError
    assert gone(daemon)
    assert not folder.exists()


def test_mps_ends_with_a_program_that_is_killed(tmp_path):
    path = f"{mps_daemon(tmp_path / 'bin')}{os.pathsep}{os.environ['PATH']}"
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom bench.gpu.mps import running_mps\n"
        "with running_mps() as service:\n"
        "    folder = Path(service.environment['CUDA_MPS_PIPE_DIRECTORY'])\n"
        "    print((folder / 'nvidia-cuda-mps-control.pid').read_text(), flush=True)\n    time.sleep(99)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PATH": path, "TMPDIR": str(tmp_path)},
    )
    assert process.stdout is not None
    daemon = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    wait_until(lambda: gone(daemon))


def test_mps_that_cannot_be_started_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with running_mps() as service:
        assert service == ({}, "nvidia-cuda-mps-control is not on PATH")
    monkeypatch.setenv("PATH", f"{mps_daemon(tmp_path / 'bin')}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setenv("REFUSE", "1")
    with running_mps() as service:
        assert service == ({}, "nvidia-cuda-mps-control -d: exit status 1: Cannot start: no permission")


def test_samples_of_the_engines():
    class Device:
        def __init__(self):
            self.samples = [None, 40, 70]

        def jpeg(self):
            return self.samples.pop(0) if self.samples else 50

        def gpu(self):
            return None

    device = Device()
    with Utilisation(device, pause=0) as busy:
        wait_until(lambda: not device.samples)
    found = busy.figures()
    assert found["gpu"] is None
    assert found["engines"] | {"mean": 0, "samples": 0} == {"min": 40, "mean": 0, "max": 70, "samples": 0}
    with Utilisation(None) as busy:
        pass
    assert busy.figures() == {"engines": None, "gpu": None}


def test_files_are_compared_picture_by_picture():
    good, other = jpeg(photograph(64, 48, 1)), jpeg(photograph(64, 48, 2))
    near = jpeg(photograph(64, 48, 1), quality=80)
    ours, theirs = {0: good, 1: near, 2: other, 3: good}, {0: good, 1: good, 2: good}
    figures = compare(ours, theirs, lambda key: f"{key}.jpg", 2)
    assert (figures["compared"], figures["identical"], figures["in one file only"]) == (2, 1, 1)
    assert [(low["key"], low["path"]) for low in figures["under 30 dB"]] == [(2, "2.jpg")]
    assert figures["worst"] == figures["under 30 dB"][0]["dB"] < 30 < figures["mean"] * 2
    assert figures["repeats with other bytes"] == 1, "key 2 is the photograph of key 0, and another picture"
    assert json.dumps(figures)
