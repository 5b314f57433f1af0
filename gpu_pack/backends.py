"""Probe and choose: the only place that names both implementations.

Nothing of CUDA, DALI or OpenCV is imported before a run knows that it needs it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal, get_args

from gpu_pack.errors import BackendError, UsageError
from gpu_pack.types import DEFAULT_BYTES_IN_FLIGHT, EntryWorker, Rescue, TransformSpec, Workers

if TYPE_CHECKING:
    from gpu_pack.processes.process_group import WorkerGroup

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
        choice: what runs in the end: under ``auto``, the CPU where the GPU could not be set up.
        count: how many workers there are, where some of ``workers`` stand for the same one.
        reading: who reads the files: ``ahead``, threads that do nothing else; ``inline``, the workers' own threads,
            which do better where they leave no core for others to read on; ``remote``, the workers, in other processes.
        rescue: what the engine calls when the last worker broke; None where that ends the run.
        encoder: which JPEG encoder runs on the GPU path, ``nvjpeg``, ``cuda`` or ``cpu``; None without it.
        bytes_in_flight: for the engine. Files that nobody here reads take no memory here.
    """

    workers: Workers
    choice: Choice
    count: int
    reading: Literal["ahead", "inline", "remote"]
    rescue: Rescue | None = None
    encoder: str | None = None

    @property
    def bytes_in_flight(self) -> int:
        """Of files that are read elsewhere, enough for every batch that a large machine has in hand."""
        return (4 if self.reading == "remote" else 1) * DEFAULT_BYTES_IN_FLIGHT


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
    from gpu_pack.gpu.capabilities import supports
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


def open_backend(spec: TransformSpec, options: DeviceOptions, choice: Choice, root: str, images: int) -> Backend:
    """The chosen workers, ready to run.

    Args:
        root: what the entries' paths are relative to.
        images: how many there are: a few need not all the processes that a GPU may have, which take seconds to start.

    Raises:
        BackendError: a GPU fails while it is set up (under ``auto``, the CPU takes over instead).
    """
    if choice.device == "cpu":
        return _cpu_backend(spec, options, choice, root)
    try:
        groups = _gpu_groups(spec, options, choice.gpus, root, images)
    except BackendError as error:
        if options.device == "auto":
            return _cpu_backend(spec, options, Choice("cpu", str(error)), root)
        raise
    # Beside a GPU with its own batch size: what suits that one would keep a CPU waiting.
    helpers = replace(options, batch_size=None)
    rescue: Rescue | None = lambda _: _channels(_cpu_groups(spec, helpers, root))  # noqa: E731
    encoder = groups[0].encoder
    if choice.device == "hybrid":
        groups += _cpu_groups(spec, helpers, root, gives_way=True)
    elif options.device != "auto":
        rescue = None
    return Backend(_channels(groups), choice, sum(group.count for group in groups), "remote", rescue, encoder)


def _cpu_backend(spec: TransformSpec, options: DeviceOptions, choice: Choice, root: str) -> Backend:
    """One OpenCV worker a core, unless told otherwise; in processes where many would wait for one interpreter."""
    count = _cpu_count(options)
    if count > _MOST_THREADS:
        groups = _cpu_groups(spec, options, root)
        return Backend(_channels(groups), choice, len(groups), "remote")
    from cpu_fallback.worker import CpuWorker

    workers = [CpuWorker(spec, f"cpu:{number}", **_batch(options)) for number in range(count)]
    return Backend(workers, choice, count, "inline" if cores() <= count else "ahead")


def _cpu_groups(spec: TransformSpec, options: DeviceOptions, root: str, gives_way: bool = False) -> list[WorkerGroup]:
    from cpu_fallback.cpu_processes import cpu_worker_group
    from gpu_pack.processes.process_group import CHANNELS_PER_WORKER
    from gpu_pack.processes.worker_process import room_for

    return [
        cpu_worker_group(spec, root, f"cpu:{number}", **_batch(options), gives_way=gives_way)
        for number in range(room_for(_cpu_count(options), CHANNELS_PER_WORKER))
    ]


def _gpu_groups(
    spec: TransformSpec, options: DeviceOptions, gpus: tuple[int, ...], root: str, images: int
) -> list[WorkerGroup]:
    from cpu_fallback.cpu_processes import cpu_worker_setup
    from cpu_fallback.worker import make_codec
    from gpu_pack.gpu.gpu_processes import gpu_worker_groups
    from gpu_pack.gpu.settings import default_settings

    settings = replace(default_settings(), encoder=options.encoder)
    if options.batch_size is not None:
        settings = replace(settings, batch_size=options.batch_size)
    return gpu_worker_groups(spec, make_codec, cpu_worker_setup(spec, root), gpus, settings, images)


def _cpu_count(options: DeviceOptions) -> int:
    return options.workers or cores()


def _batch(options: DeviceOptions) -> dict[str, int]:
    return {} if options.batch_size is None else {"batch_size": options.batch_size}


def _channels(groups: Sequence[WorkerGroup]) -> list[EntryWorker]:
    """One of each group, then the next of each: small runs use them all."""
    channels = [group.channels() for group in groups]
    return [channel for row in zip_longest(*channels) for channel in row if channel is not None]
