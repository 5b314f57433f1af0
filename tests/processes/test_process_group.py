"""Workers in a process of their own: the same contract, and what a process can do that a thread cannot."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from cpu_fallback.cpu_processes import cpu_worker_group, cpu_worker_setup
from cpu_fallback.worker import CpuWorker
from gpu_pack.errors import BackendError
from gpu_pack.processes.process_group import WorkerGroup
from gpu_pack.processes.worker_main import WorkerSetup
from gpu_pack.processes.worker_process import ProcessEndedError, WorkerProcess, room_for
from gpu_pack.stores.local import LocalStore
from gpu_pack.types import Encoded, Entry, Image, Outcome, Rejected, TransformSpec, Worker
from tests.contract import BackendContract
from tests.pictures import jpeg, photo
from tests.processes import workers
from tests.processes.files import FromFiles
from tests.processes.workers import Act, acting, answers, idle

SPEC = TransformSpec(size=24)
Start = Callable[..., FromFiles]
needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")
needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


class TestProcess(BackendContract):
    backend_name = "cpu"

    def make_worker(self, spec: TransformSpec) -> Worker:
        return FromFiles(lambda store: cpu_worker_group(spec, store))


@pytest.fixture(scope="module")
def worker() -> Iterator[FromFiles]:
    worker = FromFiles(lambda store: cpu_worker_group(SPEC, store))
    yield worker
    worker.close()


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a group whose workers act, with the same fallback unless told otherwise."""
    started: list[FromFiles] = []

    def make(act: Act, max_losses: int | None, fallback: Act | None, count: int, store: LocalStore) -> WorkerGroup:
        name = "cpu:3" if max_losses is None else "gpu:0"
        return WorkerGroup(name, acting(store, act, count), acting(store, fallback or act), count, 8, max_losses)

    def start(act: Act, max_losses: int | None = None, fallback: Act | None = None, count: int = 1) -> FromFiles:
        started.append(FromFiles(partial(make, act, max_losses, fallback, count)))
        return started[-1]

    yield start
    for one in started:
        one.close()


def images(count: int = 4) -> list[Image]:
    return [Image(Entry(key, (float(key),), f"{key}.jpg"), jpeg(photo(40 + key, 50))) for key in range(count)]


def bare(outcomes: list[Outcome]) -> list[Outcome]:
    """Without the paths, which the files' folder changes."""
    return [outcome._replace(entry=outcome.entry._replace(path="")) for outcome in outcomes]


def test_the_outcomes_are_those_of_a_thread(worker: FromFiles) -> None:
    batch = [*images(), Image(Entry(9, (0.0,), "no.jpg"), b"no picture"), *images(2)]
    for channel in (0, 1, 0):
        assert worker.transform(batch, channel) == CpuWorker(SPEC).transform(batch)


def test_a_batch_of_many_files_and_bytes(worker: FromFiles) -> None:
    """More than a connection's buffer holds."""
    batch = images(1) * 400 + [Image(Entry(1, (0.0,), "long"), bytes(3_000_000))]
    outcomes = worker.transform(batch)
    assert [type(outcome) for outcome in outcomes] == [Encoded] * 400 + [Rejected]


def test_a_file_that_cannot_be_read_is_named_in_its_place(worker: FromFiles) -> None:
    entries = worker.written(images())
    entries[1] = entries[1]._replace(path="gone.jpg")
    entries[3] = entries[3]._replace(size=3)
    good, gone, also_good, changed = worker.channels[0].transform(entries)
    assert isinstance(good, Encoded) and isinstance(also_good, Encoded)
    assert gone == Rejected(entries[1], "read", "no such file", "missing")
    assert isinstance(changed, Rejected) and "the file changed while packing" in changed.reason


def test_channels_answer_side_by_side(worker: FromFiles) -> None:
    batch, found = images(), {}
    entries = worker.written(batch)

    def ask(channel: int) -> None:
        found[channel] = [worker.channels[channel].transform(entries) for _ in range(10)]

    threads = [threading.Thread(target=ask, args=(channel,)) for channel in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [bare(outcomes) for channel in (0, 1) for outcomes in found[channel]] == [
        bare(CpuWorker(SPEC).transform(batch))
    ] * 20


def test_what_the_workers_count_as_failures_adds_up(start: Start, tmp_path: Path) -> None:
    """In two processes, since the first one breaks, and over all channels of both workers."""
    worker = start(partial(workers.break_device_once, tmp_path), max_losses=2, count=2)
    entries = [worker.written([Image(Entry(0, (0.0,), name), images(1)[0].data)]) for name in "ab"]
    for channel in range(4):
        for batch in entries:
            worker.channels[channel].transform(batch)
    assert worker.group.failures == {"0_a": 5, "0_b": 4}


@needs_signals
def test_a_process_that_is_killed_is_replaced(start: Start, tmp_path: Path) -> None:
    worker = start(partial(workers.record_process, tmp_path / "pid"))
    expected = worker.transform(images())
    first = int((tmp_path / "pid").read_text())
    os.kill(first, signal.SIGKILL)
    assert worker.transform(images()) == expected == answers(images())
    assert int((tmp_path / "pid").read_text()) != first


@needs_signals
def test_an_image_that_crashes_opencv_is_the_only_one_lost(start: Start) -> None:
    """Also not those of the other channel, which lose their process with it."""
    worker = start(workers.crash)
    batch = images()
    batch[2] = batch[2]._replace(data=batch[2].data + b"crash")
    stop, other = threading.Event(), []
    entries = worker.written([image._replace(entry=image.entry._replace(path="beside")) for image in images(2)])

    def beside() -> None:
        while not stop.is_set():
            other.append(worker.channels[1].transform(entries))

    thread = threading.Thread(target=beside)
    thread.start()
    outcomes = worker.transform(batch)
    stop.set()
    thread.join(20)
    ended = f"signal 11 ({signal.strsignal(11)})"
    reason = f"its decoder's process ended with {ended}: OpenCV crashed on it, or memory is short"
    assert outcomes[2] == Rejected(outcomes[2].entry, "decode", reason, "crashed")
    assert [*outcomes[:2], outcomes[3]] == answers([*batch[:2], batch[3]])
    assert other and all(isinstance(outcome, Encoded) for outcomes in other for outcome in outcomes)


@needs_signals
@pytest.mark.parametrize("number", [9, 15])
def test_a_process_that_is_killed_again_and_again_is_no_images_fault(start: Start, number: int) -> None:
    with pytest.raises(BackendError, match="cpu:3: its process was killed twice; memory may be short"):
        start(partial(workers.kill, number)).transform(images())


def test_a_programming_error_is_reported(start: Start) -> None:
    with pytest.raises(BackendError, match="worker cpu:3 failed with ZeroDivisionError: in a test"):
        start(workers.fail).transform(images())


def test_a_device_that_breaks_once_costs_nothing(start: Start, tmp_path: Path) -> None:
    """A new process has a new CUDA context."""
    worker = start(partial(workers.break_device_once, tmp_path), max_losses=2)
    assert worker.transform(images()) == answers(images())
    assert (tmp_path / "broke").exists()


def test_a_device_that_breaks_every_time_is_given_up(start: Start) -> None:
    """Until then, the CPU codec packs the images."""
    worker = start(workers.break_device, max_losses=1, fallback=idle)
    assert worker.transform(images(2)) == answers(images(2))
    with pytest.raises(BackendError, match=r"^gpu:0: sticky$"):
        worker.transform(images(2))


def test_workers_that_cannot_be_made_are_an_error_that_says_why(start: Start) -> None:
    worker = start(idle, max_losses=2)
    worker.group.setup = worker.group.setup._replace(make=partial(workers.no_device, "no such GPU"))
    with pytest.raises(BackendError, match=r"^no such GPU$"):
        worker.group.open()
    with pytest.raises(BackendError, match=r"^no such GPU$"):
        worker.transform(images())


def test_where_python_does_not_start_again_the_work_is_done_here(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, gpu = start(idle), start(idle, max_losses=2)
    for worker in (cpu, gpu):
        worker.group.setup = worker.group.setup._replace(make=partial(workers.exit_early, 3))
    assert cpu.transform(images()) == answers(images())
    with pytest.raises(BackendError, match="gpu:0: it cannot be set up: its process ended with exit status 3"):
        gpu.transform(images())
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    another = start(idle)
    assert another.transform(images()) == answers(images())
    with pytest.raises(BackendError, match=r"gpu:0: it cannot be set up: .*No such file"):
        gpu.transform(images())


def test_a_process_that_hangs_while_it_is_set_up_is_ended() -> None:
    process = WorkerProcess("gpu:0", 1, "os", Counter().update)
    with pytest.raises(ProcessEndedError):
        process.open(WorkerSetup(partial(workers.never, "made"), LocalStore("."), "os"), seconds=0.1)


def test_a_channel_that_fails_ends_its_process(start: Start) -> None:
    """It must not leave the other side waiting: here, the second one's errors cannot be sent."""
    (outcome,) = start(workers.fail_without_words).transform(images(1), channel=1)
    assert isinstance(outcome, Rejected) and "exit status 1" in outcome.reason


@needs_proc
def test_no_descriptor_is_left_open(worker: FromFiles, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    worker.transform(images(1))  # what is opened once stays open
    before = set(os.listdir("/proc/self/fd"))
    crashing = start(workers.crash)
    assert isinstance(crashing.transform([images(1)[0]._replace(data=b"crash")])[0], Rejected)
    crashing.close()
    for executable in ("/no/such/python", None):
        monkeypatch.setattr(sys, "executable", executable)
        with pytest.raises(OSError, match=r"No such file|no Python interpreter"):
            WorkerProcess("cpu", 4, "os", Counter().update)
    assert set(os.listdir("/proc/self/fd")) == before


@needs_signals
def test_processes_leave_descriptors_for_files() -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, limits[1]))
        assert room_for(64, 2) == 64, "a large machine's, with the usual limit"
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
        assert 16 < room_for(64, 2) < 64
        assert room_for(64, 2) * (2 + 1 + 2) <= 128
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@needs_proc
def test_few_descriptors_cost_processes_and_no_images(tmp_path: Path) -> None:
    """In a script that does not look whether it is the main module."""
    (tmp_path / "photos").mkdir()
    for image in images(20):
        (tmp_path / "photos" / image.entry.path).write_bytes(image.data)
    (tmp_path / "script.py").write_text(
        "import resource, sys, gpu_pack\nresource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))\n"
        "options = gpu_pack.CreateOptions(device=gpu_pack.DeviceOptions('cpu', workers=16, batch_size=1))\n"
        "report = gpu_pack.create(sys.argv[1], sys.argv[2], options)\nprint(report.packed, report.workers)\n"
    )
    arguments = [sys.executable, tmp_path / "script.py", tmp_path / "photos", tmp_path / "out"]
    done = subprocess.run(arguments, env=environment(), capture_output=True, text=True, check=True)
    packed, count = map(int, done.stdout.split())
    assert packed == 20 and count < 16


@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="there are no priorities")
def test_low_priority() -> None:
    setup = cpu_worker_setup(SPEC, LocalStore("."), low_priority=True)
    code = "import os, pickle, sys; pickle.load(sys.stdin.buffer)(); print(os.getpriority(os.PRIO_PROCESS, 0))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment(), input=pickle.dumps(setup.make), capture_output=True, check=True)
    assert int(done.stdout) == min(os.getpriority(os.PRIO_PROCESS, 0) + 10, 19)


@needs_proc
@pytest.mark.parametrize("act", ["record_process", "hang"])
def test_no_process_outlives_a_run_that_is_killed(act: str, tmp_path: Path) -> None:
    script = (
        "import sys, threading, time\nfrom functools import partial\nfrom pathlib import Path\n"
        "from gpu_pack.processes.process_group import WorkerGroup\n"
        "from gpu_pack.types import Entry, Image\n"
        "from tests.processes import workers\nfrom tests.processes.files import FromFiles\n"
        f"act = partial(workers.{act}, Path(sys.argv[1]))\n"
        "def make(store): return WorkerGroup('cpu', *2 * [workers.acting(store, act)])\n"
        "FromFiles(make).transform([Image(Entry(0, (0.0,), '0'), b'0')])\ntime.sleep(60)\n"
    )
    file = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", script, file], env=environment()) as run:
        assert until(file.exists)
        child = Path("/proc", file.read_text(), "cmdline")
        assert b"gpu_pack" in child.read_bytes()
        run.send_signal(signal.SIGKILL)
    assert until(lambda: not child.exists() or not child.read_bytes())


def until(true: Callable[[], bool]) -> bool:
    """Wait for something, but not for ever."""
    deadline = time.monotonic() + 20
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
