"""``gpu-pack create`` on the CPU with all cores, on the GPU and on both, in turn, as whole processes."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from bench.gpu.create import create
from bench.gpu.measure import open_groups, rate
from bench.gpu.record import Figures
from bench.gpu.session import Session
from cpu_fallback.cpu_processes import cpu_worker_group
from gpu_pack.stores.local import LocalStore
from gpu_pack.types import TransformSpec, available_cores

DEVICES = ("cpu", "gpu", "hybrid")
_RUN_SECONDS = 20.0


def side_by_side(session: Session) -> None:
    alone = {
        device: session.item(
            f"workers alone, {device}", 5 if session.rehearsal else 30, partial(_alone, session, device)
        )
        for device in DEVICES
    }
    # As many images as the device's workers should get done in that time.
    counts = {
        device: 20 if session.rehearsal else int(max(1000, figures.get("images/s", 0) * _RUN_SECONDS))
        for device, figures in alone.items()
    }
    for number in range(1, 2 if session.rehearsal else 4):
        expected = session.expected(10 if session.rehearsal else len(DEVICES) * (_RUN_SECONDS + 15), "round")
        session.item(
            f"round {number}", expected, lambda: {device: _pack(session, device, counts[device]) for device in DEVICES}
        )


def _pack(session: Session, device: str, count: int) -> Figures:
    with tempfile.TemporaryDirectory() as scratch:
        return create(session, device, count, Path(scratch) / "out")


def _alone(session: Session, device: str) -> Figures:
    """The same without writing and engine: what the workers alone can do."""
    spec = TransformSpec()
    groups = open_groups(spec, session.settings()) if device != "cpu" else []
    cores = range(available_cores() if device != "gpu" else 0)
    groups += [cpu_worker_group(spec, LocalStore("."), f"cpu:{number}") for number in cores]
    try:
        return dict(rate(groups, session.entries(), 0.3 if session.rehearsal else 4.0))
    finally:
        for group in groups:
            group.close()
