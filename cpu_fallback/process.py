"""The CPU backend's workers in processes of their own, for machines of many cores.

Threads share one interpreter. Each image needs it for more than a tenth of a millisecond, and a thread that comes back
from OpenCV has to wait for it: of sixteen cores two fifths would stand still. A process costs a third of a second to
start.
"""

from __future__ import annotations

from functools import partial

from cpu_fallback.worker import CpuWorker
from gpu_pack.interface import TransformSpec
from gpu_pack.remote.child import Opening
from gpu_pack.remote.worker import Crew


def process_opening(spec: TransformSpec, root: str) -> Opening:
    """What a process with one `CpuWorker` is told: see `Crew`."""
    return Opening(partial(_make, spec), root, "cpu_fallback.worker")


def process_crew(spec: TransformSpec, root: str, name: str = "cpu", batch_size: int = 8) -> Crew:
    """One `CpuWorker` in a process, which begins with the first images.

    An image that crashes OpenCV, which ends the whole run where workers are threads, is a `Rejected`. Where Python
    cannot be started once more, the work is done here.

    Raises:
        BackendError: ``spec`` passes files through.
    """
    CpuWorker(spec)  # checks it
    opening = process_opening(spec, root)
    return Crew(name, opening, opening, batch_size=batch_size)


def _make(spec: TransformSpec) -> list[CpuWorker]:
    return [CpuWorker(spec)]
