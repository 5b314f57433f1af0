"""Probe and choose: the only place that names both implementations.

Nothing of CUDA, DALI or OpenCV is imported before a run knows that it needs it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from gpu_pack.engine import Rescue
from gpu_pack.errors import BackendError, UsageError
from gpu_pack.interface import TransformSpec, Worker

Device = Literal["auto", "gpu", "cpu", "hybrid"]
Encoder = Literal["auto", "nvjpeg", "cpu", "cuda"]

#: CPU workers that share an interpreter. Simulated on two cores, with OpenCV asleep where it would compute: 2 to 8
#: threads did 0.8 of what they could, 16 did 0.6, 64 no more than 16; 16 processes did 0.94.
_MOST_THREADS = 8


@dataclass(frozen=True)
class DeviceOptions:
    """What to run on.

    Attributes:
        device: ``auto`` takes the GPU where one works, else the CPU; ``gpu`` insists; ``hybrid`` uses both at once.
        gpus: ordinals; None for all.
        workers: CPU workers; None for one a core.
        batch_size: images a worker takes at once; None for each backend's own.
        encoder: of the GPU path: nvJPEG or our own kernels (``cuda``) on the device, or OpenCV on CPU threads.

    Raises:
        UsageError: a value out of range, or options that contradict each other.
    """

    device: Device = "auto"
    gpus: tuple[int, ...] | None = None
    workers: int | None = None
    batch_size: int | None = None
    encoder: Encoder = "auto"

    def __post_init__(self) -> None:
        for name, allowed in (("device", get_args(Device)), ("encoder", get_args(Encoder))):
            if (value := getattr(self, name)) not in allowed:
                raise UsageError(f"--{name} {value}: choose {', '.join(allowed[:-1])} or {allowed[-1]}")
        if self.workers is not None and not 1 <= self.workers <= 1024:
            raise UsageError(f"--workers {self.workers}: between 1 and 1024")
        if self.batch_size is not None and not 1 <= self.batch_size <= 4096:
            raise UsageError(f"--batch-size {self.batch_size}: between 1 and 4096")
        if self.gpus is not None:
            if self.device == "cpu":
                raise UsageError("--gpus names GPUs, and --device cpu uses none: leave one of the two out")
            if not self.gpus or min(self.gpus) < 0 or len(set(self.gpus)) < len(self.gpus):
                raise UsageError("--gpus: different GPU numbers from 0, as in --gpus 0,1")


@dataclass(frozen=True)
class Choice:
    """What a run will use, before anything of it is started.

    Attributes:
        device: ``cpu``, ``gpu`` or ``hybrid``.
        reason: why that one, in half a sentence.
        gpus: their ordinals, where any is used.
    """

    device: Literal["cpu", "gpu", "hybrid"]
    reason: str
    gpus: tuple[int, ...] = ()


@dataclass
class Backend:
    """The workers of a run, for the engine, which closes them.

    Attributes:
        rescue: what the engine calls when the last worker broke; None where that ends the run.
        encoder: which JPEG encoder runs on the GPU path, ``nvjpeg``, ``cuda`` or ``cpu``; None without it.
        choice: what runs in the end: under ``auto``, the CPU where the GPU could not be set up.
        reads: whether the workers' threads do better to read their images themselves: where they decode them too, and
            leave no core for others to read on.
    """

    workers: Sequence[Worker]
    choice: Choice
    rescue: Rescue | None = None
    encoder: str | None = None
    reads: bool = False


def cores() -> int:
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1


def choose(spec: TransformSpec, options: DeviceOptions) -> Choice:
    """Decide what to run on, asking the machine only where the answer matters.

    Raises:
        BackendError: ``gpu`` or ``hybrid`` where no GPU can do it, with the reason and the cure.
    """
    if options.device == "cpu":
        return Choice("cpu", "as asked")
    gpus, reason, cure = _usable_gpus(spec, options)
    if gpus:
        return Choice("hybrid" if options.device == "hybrid" else "gpu", reason, gpus)
    if options.device == "auto":
        return Choice("cpu", reason)
    raise BackendError(f"--device {options.device}: {reason}.{' ' + cure if cure else ''}")


def _usable_gpus(spec: TransformSpec, options: DeviceOptions) -> tuple[tuple[int, ...], str, str]:
    """``(ordinals, reason, cure)``; without ordinals, the reason says why there are none."""
    from gpu_pack.gpu.eligible import supports
    from gpu_pack.gpu.probe import probe

    if reason := supports(spec):
        return (), reason, "--device cpu does it."
    found = probe()
    if not found.usable:
        return (), found.reason, found.cure
    there = tuple(gpu.number for gpu in found.gpus)
    missing = [number for number in options.gpus or () if number not in there]
    if missing:
        raise UsageError(f"--gpus {missing[0]}: there are GPUs {', '.join(map(str, there))}")
    return options.gpus or there, found.reason, ""


def open_backend(spec: TransformSpec, options: DeviceOptions, choice: Choice) -> Backend:
    """The chosen workers, ready to run.

    Raises:
        BackendError: a GPU fails while it is set up (under ``auto``, the CPU takes over instead).
    """
    if choice.device == "cpu":
        return _cpu_backend(spec, options, choice)
    rescue: Rescue = lambda _: cpu_workers(spec, options)  # noqa: E731
    try:
        workers, encoder = _gpu_workers(spec, options, choice.gpus)
    except BackendError as error:
        if options.device == "auto":
            return _cpu_backend(spec, options, Choice("cpu", str(error)))
        raise
    if choice.device == "hybrid":
        return Backend([*workers, *cpu_workers(spec, options)], choice, rescue, encoder)
    return Backend(workers, choice, rescue if options.device == "auto" else None, encoder)


def _cpu_backend(spec: TransformSpec, options: DeviceOptions, choice: Choice) -> Backend:
    workers = cpu_workers(spec, options)
    return Backend(workers, choice, reads=cores() <= len(workers) <= _MOST_THREADS)


def _gpu_workers(spec: TransformSpec, options: DeviceOptions, gpus: tuple[int, ...]) -> tuple[list[Worker], str]:
    from cpu_fallback.worker import make_codec
    from gpu_pack.gpu.settings import GpuSettings
    from gpu_pack.gpu.worker import open_workers

    settings = GpuSettings(encoder=options.encoder)
    if options.batch_size is not None:
        settings = replace(settings, batch_size=options.batch_size)
    workers = open_workers(spec, make_codec(spec), gpus, settings)
    return list(workers), workers[0].encoder


def cpu_workers(spec: TransformSpec, options: DeviceOptions) -> list[Worker]:
    """One OpenCV worker a core, unless told otherwise; in processes where many would wait for one interpreter."""
    count = options.workers or cores()
    size = {} if options.batch_size is None or options.device == "hybrid" else {"batch_size": options.batch_size}
    if count > _MOST_THREADS or options.device == "hybrid":
        from cpu_fallback.process import ProcessWorker

        return [ProcessWorker(spec, f"cpu:{number}", **size) for number in range(count)]
    from cpu_fallback.worker import CpuWorker

    return [CpuWorker(spec, f"cpu:{number}", **size) for number in range(count)]
