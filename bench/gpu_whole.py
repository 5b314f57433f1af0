"""The parts of prove_gpu.py that run whole processes: the tests, the comparison of devices, and memory over time."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from gpu_measure import Session, open_groups, rate

from cpu_fallback.cpu_processes import cpu_worker_group
from gpu_pack.gpu import driver
from gpu_pack.stores.local import LocalStore
from gpu_pack.types import TransformSpec, available_cores

#: (seconds since the start, resident MB of the process and those that it started, MB in use on the GPU).
Sample = tuple[float, float, float]
ROOT = Path(__file__).resolve().parent.parent


def tests(session: Session) -> None:
    """The GPU path's tests, with REQUIRE_GPU=1 unless in the CPU mode."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    environment.update({} if session.cpu else {"REQUIRE_GPU": "1"})
    command = [sys.executable, "-X", "faulthandler", "-m", "pytest", "-v", "--tb=short", "--color=no"]
    command += ["-p", "no:cacheprovider", "tests/gpu", "--ignore", "tests/gpu/test_prove_gpu.py"]  # it runs this
    with session.log("tests.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            status: int | None = process.wait(max(1.0, session.left() + 20))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            status = None
    lines = session.log("tests.log").read_text(encoding="utf-8", errors="replace").splitlines()
    # While they run, a line each: path::test PASSED [ 10%].
    verdicts = [line.split("::", 1)[1].split() for line in lines if line.startswith("tests/") and "%]" in line]
    for word in ("PASSED", "FAILED", "ERROR", "SKIPPED"):
        session.say(word.lower(), sum(word in verdict for verdict in verdicts))
    session.say("which failed", [verdict[0] for verdict in verdicts if {"FAILED", "ERROR"} & {*verdict}])
    if status is None:
        raise SystemExit(f"the tests were cut off after {len(verdicts)}")
    if status:
        raise SystemExit(f"the tests fail: {lines[-1] if lines else status}")


def compare(session: Session) -> None:
    """``gpu-pack create`` on the CPU with all cores, on the GPU and on both, alternating, as whole processes."""
    devices = ("cpu",) if session.cpu else ("cpu", "gpu", "hybrid")
    guess = _worker_rates(session, devices)
    found: dict[str, list[float]] = {}
    rounds, seconds = (1 if session.cpu else 2), session.left() / (len(devices) * (1 if session.cpu else 2))
    for device in devices * rounds:
        # As many images as its rate should get done in its time, with a margin for starting and listing.
        count = int(max(50, guess[device] * max(0.1 if session.cpu else 1.0, 0.6 * seconds - 5)))
        report = create(session, device, count)
        report["images"] = count
        session.say(f"{device} run {len(found.get(device, [])) + 1}", report)
        found.setdefault(device, []).append(report["images_per_second"])
    best = {device: max(rates) for device, rates in found.items()}
    session.say("images/s", best)
    if not session.cpu:
        session.say("gpu over cpu", round(best["gpu"] / best["cpu"], 2))
        session.say("hybrid over gpu + cpu", round(best["hybrid"] / (best["gpu"] + best["cpu"]), 2))


def _worker_rates(session: Session, devices: tuple[str, ...]) -> dict[str, float]:
    """The same without reading, writing and engine: what the workers alone can do."""
    spec, entries, seconds = TransformSpec(), session.entries(), max(0.5, session.seconds / 20)
    rates = {}
    for device in devices:
        groups = open_groups(spec, session.settings()) if device != "cpu" else []
        groups += [
            cpu_worker_group(spec, LocalStore("."), f"cpu:{number}")
            for number in range(available_cores() if device != "gpu" else 0)
        ]
        rates[device] = (figures := rate(groups, entries, seconds))["images/s"]
        session.say(f"workers alone, {device}", figures)
        for group in groups:
            group.close()
    return rates


def memory(session: Session) -> None:
    """Memory, on the host and on the GPU, of one long run over a list that names the photographs again and again."""
    device = "cpu" if session.cpu else "gpu"
    samples: list[Sample] = []
    report = create(session, device, session.images_wanted, samples)
    session.say("run", report)
    session.say("images", session.images_wanted)
    session.say("seconds, resident MB, GPU MB", samples[:: max(1, len(samples) // 40)])
    second_half = samples[len(samples) // 2 : -1]  # in the last one the process may be gone by half
    if len(second_half) > 3:
        # Pools and caches fill in the first half; a leak would go on through the second.
        session.say("growth in the second half, resident MB", round(second_half[-1][1] - second_half[0][1], 1))
        session.say("growth in the second half, GPU MB", round(second_half[-1][2] - second_half[0][2], 1))


def create(session: Session, device: str, count: int, samples: list[Sample] | None = None) -> dict[str, Any]:
    """One run of ``gpu-pack create``; its report's figures and the whole process's seconds.

    Raises:
        SystemExit: it fails; the message is its last line.
    """
    files = session.files()
    with tempfile.TemporaryDirectory(prefix="prove-gpu-") as scratch:
        source = Path(scratch) / "photos.lst"
        with source.open("w", encoding="utf-8") as lines:
            for key in range(count):
                lines.write(f"{key}\t{key % 1000}\t{files[key % len(files)].relative_to(session.folder).as_posix()}\n")
        command = [
            sys.executable,
            "-c",
            _CREATE,
            json.dumps(session.best),
            "create",
            str(source),
            f"{scratch}/out",
            "--root",
        ]
        command += [str(session.folder), "--device", device, "--json", "--quiet"]
        command += _tuned(session) if device != "cpu" else []
        begin = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=scratch, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        watcher = threading.Thread(target=_watch, args=(process, samples if samples is not None else []))
        watcher.start()
        try:
            told, complaint = process.communicate(timeout=max(30.0, session.left() + 30))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise SystemExit(f"create --device {device} over {count} images did not finish in time") from None
        finally:
            watcher.join()
        seconds = time.perf_counter() - begin
        shutil.rmtree(Path(scratch) / "out", ignore_errors=True)
    if process.returncode:
        raise SystemExit(f"create --device {device}: {(complaint.strip().splitlines() or ['?'])[-1]}")
    report = json.loads(told)
    figures = {key: report.get(key) for key in ("images_per_second", "packed", "rejected", "packed_by", "encoder")}
    return {**figures, "whole_process_seconds": round(seconds, 2)}


#: ``gpu-pack`` with the sweep's best as defaults, before they are in `gpu_pack.gpu.settings`.
_CREATE = """
import json, sys
from gpu_pack.gpu import settings
best = settings.GpuSettings(**json.loads(sys.argv.pop(1)))
settings.default_settings = lambda: best
from gpu_pack.cli.main import main
main()
"""


def _tuned(session: Session) -> list[str]:
    """Of the sweep's best, what `create` sets itself, whatever the defaults are."""
    names = {"batch_size": "--batch-size", "encoder": "--encoder"}
    return [text for key, name in names.items() if key in session.best for text in (name, str(session.best[key]))]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}


def _watch(process: subprocess.Popen[str], samples: list[Sample]) -> None:
    """A sample every quarter second while the process lives, where /proc tells."""
    begin, path = time.monotonic(), Path(f"/proc/{process.pid}/status")
    while process.poll() is None and path.exists():
        resident = sum(map(_resident, (process.pid, *_children(process.pid))))
        samples.append((round(time.monotonic() - begin, 1), round(resident / 1024, 1), round(gpu_memory_used(), 1)))
        time.sleep(0.25)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _resident(pid: int) -> int:
    """KiB; 0 of a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)


class _MemoryInfo(ctypes.Structure):
    """nvmlMemory_t."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


def gpu_memory_used() -> float:
    """MB in use on the first GPU by all processes, by NVML; 0 without a GPU."""
    library = driver.load_library(driver.MANAGEMENT)
    if library is None or library.nvmlInit_v2():
        return 0.0
    device, info = ctypes.c_void_p(), _MemoryInfo()
    failed = library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device))
    failed = failed or library.nvmlDeviceGetMemoryInfo(device, ctypes.byref(info))
    library.nvmlShutdown()
    return 0.0 if failed else info.used / 2**20
