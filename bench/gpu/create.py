"""Whole runs of ``gpu-pack create``, as processes, with the sweep's best settings as defaults."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from bench.gpu.record import Figures
from bench.gpu.session import Session
from bench.gpu.utilisation import nvml

ROOT = Path(__file__).resolve().parents[2]
#: (seconds since the start, resident MB of the process and those that it started, MB in use on the GPU).
Sample = tuple[float, float, float]
#: ``gpu-pack`` with other defaults than `gpu_pack.gpu.settings` has; in a rehearsal, on a GPU that is DALI's CPU mode.
_PROGRAM = """
import json, sys
from gpu_pack.gpu import driver, probe, settings
changed = settings.GpuSettings(**json.loads(sys.argv.pop(1)))
settings.default_settings = lambda: changed
if changed.device == "cpu":
    found = probe.Probe(True, "rehearsal", gpus=(driver.Gpu(0, "CPU mode", 1 << 30, (9, 0)),))
    probe.probe = lambda *_: found
from gpu_pack.cli.main import main
main()
"""
_FIGURES = ("images_per_second", "packed", "rejected", "packed_by", "encoder", "jpeg_engines")


def create(
    session: Session,
    device: str,
    count: int,
    out: Path,
    samples: list[Sample] | None = None,
    **changes: Any,
) -> Figures:
    """Pack ``count`` images, the photographs again and again, into ``out``; the report's figures.

    The key of an image is its place in the list; its photograph is ``session.files()[key % len(files)]``.

    Raises:
        SystemExit: it fails; the message is its last line.
    """
    files, source = session.files(), out.with_suffix(".lst")
    with source.open("w", encoding="utf-8") as lines:
        for key in range(count):
            lines.write(f"{key}\t{key % 1000}\t{files[key % len(files)].relative_to(session.folder).as_posix()}\n")
    settings = session.keywords(**changes)
    command = [sys.executable, "-c", _PROGRAM, json.dumps(settings), "create", str(source), str(out)]
    command += ["--root", str(session.folder), "--device", device, "--json", "--quiet"]
    if device != "cpu":  # what `create` sets itself, whatever the defaults are
        named = {"batch_size": "--batch-size", "encoder": "--encoder"}
        command += [text for key, name in named.items() if key in settings for text in (name, str(settings[key]))]
    return {"images": count, **_run(command, samples if samples is not None else [])}


def _run(command: list[str], samples: list[Sample]) -> Figures:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    begin = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    watcher = threading.Thread(target=_watch, args=(process, samples), daemon=True)
    watcher.start()
    told, complaint = process.communicate()
    watcher.join()
    if process.returncode:
        said = complaint.strip().splitlines() or [f"exit status {process.returncode}"]
        raise SystemExit(f"{' '.join(command[4:])}: {said[-1]}")
    report = json.loads(told)
    report["images_per_second"] = round(report["images_per_second"], 1)
    seconds = round(time.perf_counter() - begin, 2)
    return {**{key: report.get(key) for key in _FIGURES}, "whole_process_seconds": seconds}


def _watch(process: subprocess.Popen[str], samples: list[Sample]) -> None:
    """A sample every quarter second while the process lives, where /proc tells."""
    begin, path, gpu = time.monotonic(), Path(f"/proc/{process.pid}/status"), nvml()
    while process.poll() is None and path.exists():
        resident = sum(map(_resident, (process.pid, *_children(process.pid))))
        used = gpu.memory() if gpu else 0.0
        samples.append((round(time.monotonic() - begin, 1), round(resident / 1024, 1), round(used, 1)))
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
