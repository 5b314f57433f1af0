"""The CPU backend's workers in processes of their own, for machines of many cores.

Threads share one interpreter. Each image needs it for more than a tenth of a millisecond, and a thread that comes back
from OpenCV has to wait for it: of sixteen cores two fifths would stand still. A process costs a third of a second to
start.
"""

from __future__ import annotations

import contextlib
import os
from functools import partial
from pathlib import Path

from cpu_fallback.worker import CpuWorker
from gpu_pack.processes.process_group import WorkerGroup
from gpu_pack.processes.worker_main import WorkerSetup
from gpu_pack.types import TransformSpec


def cpu_worker_setup(spec: TransformSpec, root: str) -> WorkerSetup:
    """What a process with one `CpuWorker` is told: see `WorkerGroup`."""
    return WorkerSetup(partial(_make, spec), root, "cpu_fallback.worker")


#: How much a process gives way to others (nice): between two levels, the processor's time differs by a quarter.
_GIVING_WAY = 10


def cpu_worker_group(
    spec: TransformSpec, root: str, name: str = "cpu", batch_size: int = 8, *, gives_way: bool = False
) -> WorkerGroup:
    """One `CpuWorker` in a process, which begins with the first images.

    An image that crashes OpenCV, which ends the whole run where workers are threads, is a `Rejected`. Where Python
    cannot be started once more, the work is done here.

    Args:
        root: what the entries' paths are relative to, unless they are absolute.
        gives_way: to other processes: beside a GPU's, which make more images of the same time.

    Raises:
        BackendError: ``spec`` passes files through.
    """
    CpuWorker(spec)  # checks it
    setup = cpu_worker_setup(spec, root)
    making = setup._replace(make=partial(_make, spec, gives_way))
    return WorkerGroup(name, making, setup, batch_size=batch_size)


def _make(spec: TransformSpec, gives_way: bool = False) -> list[CpuWorker]:
    """In the process."""
    if gives_way and hasattr(os, "nice"):
        os.nice(_GIVING_WAY)
        with contextlib.suppress(OSError):  # where Linux weighs sessions instead of processes, and each of ours is one
            Path("/proc/self/autogroup").write_text(str(_GIVING_WAY), encoding="ascii")
    return [CpuWorker(spec)]
