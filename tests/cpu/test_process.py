"""The CPU worker in a process of its own: the same contract, and what a process can do that a thread cannot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cpu_fallback import process
from cpu_fallback.process import ProcessWorker
from cpu_fallback.worker import CpuWorker
from gpu_pack.errors import BackendError
from gpu_pack.interface import Encoded, Entry, Image, Rejected, TransformSpec, Worker
from tests.contract import BackendContract
from tests.pictures import jpeg, photo

SPEC = TransformSpec(size=24)
#: Code for the other side: what its worker does instead of its work.
_INSTEAD = "import sys; sys.path[:] = sys.argv[1:]; import os, time; from cpu_fallback import child\n" + (
    "real = child.CpuWorker.transform\ndef instead(self, images):\n{}\n    return real(self, images)\n"
    "child.CpuWorker.transform = instead\nchild.main()"
)


class TestProcess(BackendContract):
    backend_name = "cpu"

    def make_worker(self, spec: TransformSpec) -> Worker:
        return ProcessWorker(spec)


@pytest.fixture
def worker() -> Iterator[ProcessWorker]:
    worker = ProcessWorker(SPEC, "cpu:3")
    yield worker
    worker.close()


def images(count: int = 4) -> list[Image]:
    return [Image(Entry(key, (float(key),), f"{key}.jpg"), jpeg(photo(40 + key, 50))) for key in range(count)]


def test_the_outcomes_are_those_of_a_thread(worker: ProcessWorker) -> None:
    batch = [*images(), Image(Entry(9, (0.0,), "no.jpg"), b"no picture"), *images(2)]
    for _ in range(2):
        assert worker.transform(batch) == CpuWorker(SPEC).transform(batch)


def test_a_batch_of_many_pieces_and_bytes(worker: ProcessWorker) -> None:
    """More pieces than a call of the system takes, and more bytes than a pipe holds."""
    batch = images(1) * 1500 + [Image(Entry(1, (0.0,), "long"), bytes(3_000_000))]
    outcomes = worker.transform(batch)
    assert [type(outcome) for outcome in outcomes] == [Encoded] * 1500 + [Rejected]


def test_a_process_that_is_killed_is_replaced(worker: ProcessWorker) -> None:
    expected = worker.transform(images())
    assert worker._child is not None
    worker._child._process.kill()
    assert worker.transform(images()) == expected


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")
def test_an_image_that_crashes_opencv_is_the_only_one_lost(
    worker: ProcessWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash = "    if any(b'crash' in image.data for image in images): os.kill(os.getpid(), 11)"
    monkeypatch.setattr(process, "_COMMAND", _INSTEAD.format(crash))
    batch = images()
    batch[2] = batch[2]._replace(data=batch[2].data + b"crash")
    outcomes = worker.transform(batch)
    ended = f"signal 11 ({signal.strsignal(11)})"
    reason = f"its decoder's process ended with {ended}: OpenCV crashed on it, or memory is short"
    assert outcomes[2] == Rejected(batch[2].entry, "decode", reason)
    good = [*batch[:2], batch[3]]
    assert [*outcomes[:2], outcomes[3]] == CpuWorker(SPEC).transform(good) == worker.transform(good)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")
def test_a_process_that_is_killed_again_and_again_is_no_image_s_fault(
    worker: ProcessWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_COMMAND", _INSTEAD.format("    os.kill(os.getpid(), 9)"))
    with pytest.raises(BackendError, match="cpu:3: its process was killed, and again; memory may be short"):
        worker.transform(images())


def test_an_error_of_ours_is_told(worker: ProcessWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_COMMAND", _INSTEAD.format("    raise ZeroDivisionError('by us')"))
    with pytest.raises(BackendError, match="worker cpu:3 failed with ZeroDivisionError: by us"):
        worker.transform(images())


@pytest.mark.parametrize("command", ["raise SystemExit(3)", "import no_such_module"])
def test_where_python_does_not_start_again_the_work_is_done_here(
    worker: ProcessWorker, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(process, "_COMMAND", command)
    assert worker.transform(images()) == CpuWorker(SPEC).transform(images())
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    assert ProcessWorker(SPEC).transform(images()) == CpuWorker(SPEC).transform(images())


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("busy", [False, True])
def test_no_process_outlives_a_run_that_is_killed(busy: bool) -> None:
    script = (
        "import threading, time\nfrom cpu_fallback import process\n"
        "from tests.cpu.test_process import _INSTEAD, SPEC, images\n"
        f"if {busy}: process._COMMAND = _INSTEAD.format('    time.sleep(60)')\n"
        "worker = process.ProcessWorker(SPEC)\n"
        "threading.Thread(target=worker.transform, args=(images(),), daemon=True).start()\n"
        "while worker._child is None: time.sleep(0.01)\n"
        "print(worker._child._process.pid, flush=True)\ntime.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        child = Path("/proc", run.stdout.readline().decode().strip(), "cmdline")
        assert b"cpu_fallback" in child.read_bytes()
        time.sleep(0.3)
        run.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while child.exists() and child.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not child.exists() or not child.read_bytes()
