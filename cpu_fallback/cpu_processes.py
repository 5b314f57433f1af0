"""The CPU backend's workers in processes, for machines with many cores: threads would share one interpreter.

Of sixteen cores' time, threads lose two fifths waiting for it. A process takes a third of a second to start.
"""

from __future__ import annotations

import contextlib
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cpu_fallback.worker import CpuWorker
from gpu_pack.processes.process_group import WorkerGroup
from gpu_pack.processes.worker_main import WorkerSetup
from gpu_pack.types import TransformSpec

if TYPE_CHECKING:
    from gpu_pack.stores.store import Store

#: The nice value of low priority: each step changes a process's share of the processor by about a quarter.
_NICE = 10


def cpu_worker_setup(spec: TransformSpec, store: Store, *, low_priority: bool = False) -> WorkerSetup:
    """The setup of a process with one `CpuWorker`: see `cpu_worker_group`."""
    return WorkerSetup(partial(_make, spec, low_priority), store, "cpu_fallback.worker")


def cpu_worker_group(
    spec: TransformSpec, store: Store, name: str = "cpu", batch_size: int = 8, *, low_priority: bool = False
) -> WorkerGroup:
    """One `CpuWorker` in a process, which starts with the first batch, or in this one where none can be started.

    Args:
        low_priority: let other processes run first: a GPU's make more images of the same processor time.
    """
    CpuWorker(spec)  # checks it
    setup = cpu_worker_setup(spec, store, low_priority=low_priority)
    return WorkerGroup(name, setup, cpu_worker_setup(spec, store), batch_size=batch_size)


def _make(spec: TransformSpec, low_priority: bool) -> list[CpuWorker]:
    if low_priority and hasattr(os, "nice"):
        os.nice(_NICE)
        with contextlib.suppress(OSError):  # Linux may weigh sessions instead of processes; this one has its own
            Path("/proc/self/autogroup").write_text(str(_NICE), encoding="ascii")
    return [CpuWorker(spec)]
