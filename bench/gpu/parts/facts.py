"""The machine, the versions and the commit."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import tempfile
import time
from pathlib import Path

from bench.gpu.record import Figures
from bench.gpu.session import Session
from bench.machine import processor
from gpu_pack import doctor
from gpu_pack.gpu.driver import Driver, DriverError, driver_version
from gpu_pack.gpu.probe import PACKAGES, Machine
from gpu_pack.gpu.settings import GpuSettings
from gpu_pack.types import available_cores


def machine(rehearsal: bool) -> Figures:
    """What figures must have in common to be compared."""
    found: Figures = {"gpu": None, "driver": None, "processor": processor(), "cores": available_cores()}
    names = (name for pair in PACKAGES.values() for name in pair)
    found["versions"] = {name: version for name in names if (version := Machine().version(name))}
    if not rehearsal:
        with contextlib.suppress(DriverError, IndexError):  # the part says more
            found |= {"gpu": Driver().gpus()[0].name, "driver": driver_version()}
    return found


def facts(session: Session) -> None:
    session.item("machine", 10, lambda: _machine(session))
    session.item("photos", 10, lambda: _photos(session))
    session.item("scratch", 20, lambda: _scratch(16 if session.rehearsal else 1024))


def _machine(session: Session) -> Figures:
    diagnosis = doctor.diagnose()
    if not session.rehearsal and diagnosis.device != "gpu":
        raise SystemExit(f"no usable GPU: {diagnosis.reason}. {diagnosis.cure}")
    defaults = dataclasses.asdict(GpuSettings())
    return {**diagnosis.to_json(), "processor": processor(), "commit": _commit(), "defaults": defaults}


def _photos(session: Session) -> Figures:
    files = session.files()
    return {"count": len(files), "mean bytes": round(sum(path.stat().st_size for path in files) / len(files))}


def _scratch(megabytes: int) -> Figures:
    """MB/s of writing and syncing where whole runs write: what bounds them if it is slow."""
    block = bytes(1 << 20)
    with tempfile.TemporaryFile(buffering=0) as file:
        begin = time.perf_counter()
        for _ in range(megabytes):
            file.write(block)
        os.fsync(file.fileno())
        return {"MB/s": round(megabytes * 1.048576 / (time.perf_counter() - begin), 1)}


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent, check=False)
    except OSError:  # no git on a bare machine
        return None
    return done.stdout.strip() or None
