"""Workers in a process of their own: the same contract, and what a process can do that a thread cannot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from cpu_fallback.cpu_processes import cpu_worker_group, cpu_worker_setup
from cpu_fallback.worker import CpuWorker
from gpu_pack.errors import BackendError
from gpu_pack.processes import worker_main, worker_process
from gpu_pack.processes.process_group import WorkerGroup
from gpu_pack.processes.worker_main import WorkerSetup
from gpu_pack.types import Encoded, Entry, Image, Outcome, Rejected, TransformSpec, Worker
from tests.contract import BackendContract
from tests.pictures import jpeg, photo
from tests.processes.files import FromFiles

SPEC = TransformSpec(size=24)
#: Code for the other side: what its worker does instead of its work.
INSTEAD = (
    "import sys; sys.path[:] = sys.argv[3:]\nimport os, time\nfrom pathlib import Path\n"
    "from cpu_fallback.worker import CpuWorker\nfrom gpu_pack.errors import BackendError\n"
    "real = CpuWorker.transform\ndef instead(self, images):\n    {}\n    return real(self, images)\n"
    "CpuWorker.transform = instead\nfrom gpu_pack.processes.worker_main import main; main()"
)
needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")


class TestProcess(BackendContract):
    backend_name = "cpu"

    def make_worker(self, spec: TransformSpec) -> Worker:
        return FromFiles(lambda root: cpu_worker_group(spec, root))


@pytest.fixture
def worker() -> Iterator[FromFiles]:
    worker = FromFiles(lambda root: cpu_worker_group(SPEC, root, "cpu:3"))
    yield worker
    worker.close()


@pytest.fixture
def strict() -> Iterator[FromFiles]:
    """As a GPU's: two losses in a row, and no work without a process."""

    def make(root: str) -> WorkerGroup:
        setup = cpu_worker_setup(SPEC, root)
        return WorkerGroup("gpu:0", setup, setup, losses=2)

    worker = FromFiles(make)
    yield worker
    worker.close()


def images(count: int = 4) -> list[Image]:
    return [Image(Entry(key, (float(key),), f"{key}.jpg"), jpeg(photo(40 + key, 50))) for key in range(count)]


def bare(outcomes: list[Outcome]) -> list[Outcome]:
    """Without the paths, which the files' folder changes."""
    return [outcome._replace(entry=outcome.entry._replace(path="")) for outcome in outcomes]


def here(batch: list[Image]) -> list[Outcome]:
    """What a thread makes of it."""
    return CpuWorker(SPEC).transform(batch)


def test_the_outcomes_are_those_of_a_thread(worker: FromFiles) -> None:
    batch = [*images(), Image(Entry(9, (0.0,), "no.jpg"), b"no picture"), *images(2)]
    for channel in (0, 1, 0):
        assert worker.transform(batch, channel) == here(batch)


def test_a_batch_of_many_pieces_and_bytes(worker: FromFiles) -> None:
    """More pieces than a call of the system takes, and more bytes than a pipe holds."""
    batch = images(1) * 1500 + [Image(Entry(1, (0.0,), "long"), bytes(3_000_000))]
    outcomes = worker.transform(batch)
    assert [type(outcome) for outcome in outcomes] == [Encoded] * 1500 + [Rejected]


def test_a_file_that_cannot_be_read_is_named_in_its_place(worker: FromFiles) -> None:
    entries = worker.written(images())
    entries[1] = entries[1]._replace(path="gone.jpg")
    entries[3] = entries[3]._replace(size=3)
    channel = worker.group.channels()[0]
    good, gone, also_good, changed = channel.transform(entries)
    assert isinstance(good, Encoded) and isinstance(also_good, Encoded)
    assert gone == Rejected(entries[1], "read", "no such file")
    assert isinstance(changed, Rejected) and "the file changed while packing" in changed.reason


def test_what_is_read_at_once_is_bounded(worker: FromFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list need not say how large its files are."""
    batch = images(7)
    taken: list[int] = []

    class Counting(CpuWorker):
        def transform(self, images: list[Image]) -> list[Outcome]:
            taken.append(len(images))
            return super().transform(images)

    monkeypatch.setattr(worker_main, "_PART_BYTES", 2 * max(len(image.data) for image in batch))
    free: worker_main.SimpleQueue[Worker] = worker_main.SimpleQueue()
    free.put(Counting(SPEC))
    entries = worker.written(batch)
    entries[4] = entries[4]._replace(path="gone")
    outcomes = worker_main.outcomes_of(entries, worker.group.setup.root, free)
    assert [outcome.entry for outcome in outcomes] == entries
    assert max(taken) <= 3 and sum(taken) == 6


def test_lanes_answer_side_by_side(worker: FromFiles) -> None:
    batch, found = images(), {}
    entries = worker.written(batch)

    def ask(channel: int) -> None:
        found[channel] = [worker._channels[channel].transform(entries) for _ in range(20)]

    threads = [threading.Thread(target=ask, args=(channel,)) for channel in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [bare(outcomes) for channel in (0, 1) for outcomes in found[channel]] == [bare(here(batch))] * 40


def test_a_process_that_is_killed_is_replaced(worker: FromFiles) -> None:
    expected = worker.transform(images())
    assert worker.group._process is not None
    worker.group._process._process.kill()
    assert worker.transform(images()) == expected


@needs_signals
def test_an_image_that_crashes_opencv_is_the_only_one_lost(worker: FromFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also not those of the other channel, which lose their process with it."""
    crash = "any(b'crash' in image.data for image in images) and os.kill(os.getpid(), 11)"
    monkeypatch.setattr(worker_process, "_COMMAND", INSTEAD.format(crash))
    batch = images()
    batch[2] = batch[2]._replace(data=batch[2].data + b"crash")
    stop, other = threading.Event(), []
    entries = worker.written([image._replace(entry=image.entry._replace(path="beside")) for image in images(2)])

    def beside() -> None:
        while not stop.is_set():
            other.append(worker._channels[1].transform(entries))

    thread = threading.Thread(target=beside)
    thread.start()
    outcomes = [worker._channels[0].transform(worker.written([image])) for image in batch]
    together = worker.transform(batch)
    stop.set()
    thread.join(20)
    ended = f"signal 11 ({signal.strsignal(11)})"
    reason = f"its decoder's process ended with {ended}: OpenCV crashed on it, or memory is short"
    assert together[2] == Rejected(together[2].entry, "decode", reason) and isinstance(outcomes[2][0], Rejected)
    assert [*together[:2], together[3]] == here([*batch[:2], batch[3]])
    assert other and all(isinstance(outcome, Encoded) for outcomes in other for outcome in outcomes)


@needs_signals
@pytest.mark.parametrize("number", [9, 15])
def test_a_process_that_is_killed_again_and_again_is_no_image_s_fault(
    worker: FromFiles, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(worker_process, "_COMMAND", INSTEAD.format(f"os.kill(os.getpid(), {number})"))
    with pytest.raises(BackendError, match="cpu:3: its process was killed, and again; memory may be short"):
        worker.transform(images())


def test_an_error_of_ours_is_told(worker: FromFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "_COMMAND", INSTEAD.format("raise ZeroDivisionError('by us')"))
    with pytest.raises(BackendError, match="worker cpu:3 failed with ZeroDivisionError: by us"):
        worker.transform(images())


def test_a_device_that_breaks_once_costs_nothing(
    strict: FromFiles, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A new process has a new CUDA context."""
    once = f"Path({str(tmp_path / 'broke')!r}).exists() or (Path({str(tmp_path / 'broke')!r}).touch(), fail())"
    command = INSTEAD.format(once).replace("real =", "def fail(): raise BackendError('sticky')\nreal =")
    monkeypatch.setattr(worker_process, "_COMMAND", command)
    assert strict.transform(images()) == here(images())
    assert (tmp_path / "broke").exists()


def test_a_device_that_breaks_every_time_is_given_up(strict: FromFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "_COMMAND", INSTEAD.format("raise BackendError('gpu:0: sticky')"))
    with pytest.raises(BackendError, match=r"^gpu:0: sticky$"):
        for _ in range(3):
            strict.transform(images())


def test_workers_that_cannot_be_made_are_an_error_that_says_why(strict: FromFiles) -> None:
    strict.group.setup = WorkerSetup(partial(no_workers, "no such GPU"), "", "gpu_pack.types")
    with pytest.raises(BackendError, match=r"^no such GPU$"):
        strict.group.open()
    with pytest.raises(BackendError, match=r"^no such GPU$"):
        strict.transform(images())


def no_workers(reason: str) -> list[Worker]:
    raise BackendError(reason)


@pytest.mark.parametrize("command", ["raise SystemExit(3)", "import no_such_module"])
def test_where_python_does_not_start_again_the_work_is_done_here(
    worker: FromFiles, strict: FromFiles, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(worker_process, "_COMMAND", command)
    assert worker.transform(images()) == here(images())
    with pytest.raises(BackendError, match="gpu:0: its process cannot be started: its process ended with exit status"):
        strict.transform(images())
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    another = FromFiles(lambda root: cpu_worker_group(SPEC, root))
    assert another.transform(images()) == here(images())
    another.close()


def test_a_process_that_hangs_while_it_is_set_up_is_ended(strict: FromFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "_COMMAND", "import time; time.sleep(60)")
    monkeypatch.setattr(worker_process, "_OPEN_SECONDS", 0.2)
    with pytest.raises(BackendError, match="gpu:0: its process cannot be started"):
        strict.transform(images())


def test_a_lane_that_fails_ends_its_process(worker: FromFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not leave the other side waiting: here a second channel whose answers cannot be pickled."""
    broken = "worker_main._failure = lambda error: 1 / 0; raise ZeroDivisionError"
    monkeypatch.setattr(
        worker_process, "_COMMAND", INSTEAD.format("from gpu_pack.processes import worker_main; " + broken)
    )
    outcomes = worker.transform(images(), channel=1)
    assert all(isinstance(outcome, Rejected) and "exit status 1" in outcome.reason for outcome in outcomes)


@needs_signals
def test_nothing_is_left_open_where_a_process_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    for executable in ("/no/such/python", None):
        monkeypatch.setattr(sys, "executable", executable)
        lowest = os.dup(0)
        os.close(lowest)
        with pytest.raises(OSError, match=r"No such file|no Python interpreter"):
            worker_process.WorkerProcess("cpu", 4, "os")
        again = os.dup(0)
        os.close(again)
        assert again == lowest


@needs_signals
def test_processes_leave_descriptors_for_files() -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
        assert worker_process.room_for(40, 2) == 40, "the limit is raised where that may be"
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.skipif(sys.platform != "linux", reason="sets Linux's limits")
def test_few_descriptors_cost_processes_and_no_pictures(tmp_path: Path) -> None:
    for image in images(20):
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / image.entry.path).write_bytes(image.data)
    script = (
        "import resource, sys, gpu_pack\nresource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "options = gpu_pack.CreateOptions(device=gpu_pack.DeviceOptions('cpu', workers=16, batch_size=1))\n"
        "report = gpu_pack.create(sys.argv[1], sys.argv[2], options)\nprint(report.packed, report.workers)\n"
    )
    arguments = [sys.executable, "-c", script, tmp_path / "photos", tmp_path / "out"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
    packed, workers = map(int, done.stdout.split())
    assert packed == 20 and workers < 16


@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="there are no priorities")
def test_a_process_that_gives_way() -> None:
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    for gives_way, more in ((False, 0), (True, 10)):
        worker = FromFiles(lambda root, gives_way=gives_way: cpu_worker_group(SPEC, root, gives_way=gives_way))
        assert worker.transform(images()) == here(images())
        assert worker.group._process is not None
        theirs = os.getpriority(os.PRIO_PROCESS, worker.group._process._process.pid)
        assert theirs == min(mine + more, 19)
        worker.close()
    assert os.getpriority(os.PRIO_PROCESS, 0) == mine


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("busy", [False, True])
def test_no_process_outlives_a_run_that_is_killed(busy: bool) -> None:
    script = (
        "import threading, time\nfrom gpu_pack.processes import worker_process\n"
        "from tests.processes.test_process_group import INSTEAD, SPEC, FromFiles, images, cpu_worker_group\n"
        f"if {busy}: worker_process._COMMAND = INSTEAD.format('time.sleep(60)')\n"
        "worker = FromFiles(lambda root: cpu_worker_group(SPEC, root))\n"
        "threading.Thread(target=worker.transform, args=(images(),), daemon=True).start()\n"
        "while worker.group._process is None: time.sleep(0.01)\n"
        "print(worker.group._process._process.pid, flush=True)\ntime.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        child = Path("/proc", run.stdout.readline().decode().strip(), "cmdline")
        assert b"gpu_pack" in child.read_bytes()
        time.sleep(0.3)
        run.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while child.exists() and child.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not child.exists() or not child.read_bytes()
