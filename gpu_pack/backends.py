"""Probe and choose: the only place that opens workers of either implementation.

Nothing of CUDA, DALI or OpenCV is imported before a run knows that it needs it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal, get_args

from gpu_pack.errors import BackendError, UsageError, told
from gpu_pack.stores.reading_worker import ReadingWorker
from gpu_pack.stores.store import Store
from gpu_pack.types import (
    DEFAULT_BATCH_BYTES,
    DEFAULT_BYTES_IN_FLIGHT,
    MAX_WORKERS,
    Device,
    EncoderName,
    EntryWorker,
    Rescue,
    TransformSpec,
    Workers,
    available_cores,
)

if TYPE_CHECKING:
    from gpu_pack.processes.process_group import WorkerGroup

#: CPU workers that share an interpreter. Simulated on two cores, with OpenCV asleep where it would compute: 2 to 8
#: threads did 0.8 of what they could, 16 did 0.6, 64 no more than 16; 16 processes did 0.94.
_MAX_THREADS = 8
#: In flight where worker processes read: enough for every batch that a large machine has in hand.
_BYTES_IN_PROCESSES = 4 * DEFAULT_BYTES_IN_FLIGHT
#: What a thread takes at once: two photos of 12 megapixels, so that no thread works much longer than others at the end.
_THREAD_BATCH_BYTES = 8 << 20


@dataclass(frozen=True)
class DeviceOptions:
    """What to run on.

    Attributes:
        device: ``auto`` takes the GPU where one works, else the CPU; ``gpu`` insists; ``hybrid`` uses both at once.
        gpus: ordinals; None for all.
        workers: CPU workers; None for one a core.
        cores: that the run's threads share; None for all that this process may use.
        batch_size: images a worker takes at once; None for each backend's own.
        encoder: of the GPU path: nvJPEG or our own kernels (``cuda``) on the device, or OpenCV on CPU threads.

    Raises:
        UsageError: a value out of range, or options that contradict each other.
    """

    device: Device = "auto"
    gpus: tuple[int, ...] | None = None
    workers: int | None = None
    batch_size: int | None = None
    encoder: EncoderName = "auto"
    cores: int | None = None

    def __post_init__(self) -> None:
        for name, allowed in (("device", get_args(Device)), ("encoder", get_args(EncoderName))):
            if (value := getattr(self, name)) not in allowed:
                raise UsageError(f"{name}={value} (--{name}): choose {', '.join(allowed[:-1])} or {allowed[-1]}")
        for name, most in (("workers", MAX_WORKERS), ("batch_size", 4096)):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or not 1 <= value <= most):
                raise UsageError(f"{told(name, value)}: a whole number from 1 to {most}")
        if self.gpus is not None:
            if self.device == "cpu":
                raise UsageError("gpus (--gpus) names GPUs, and device=cpu (--device cpu) uses none: leave one out")
            numbers = {number for number in self.gpus if type(number) is int and number >= 0}
            if not self.gpus or len(numbers) < len(self.gpus):
                raise UsageError("gpus (--gpus): different GPU numbers from 0, as in --gpus 0,1")


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
        groups: the processes behind the workers; empty where these are threads.
        rescue: what the engine calls when the last worker broke; None where that ends the run.
        encoder: which JPEG encoder runs on the GPU path, ``nvjpeg``, ``cuda`` or ``cpu``; None without it.
        bytes_in_flight, batch_bytes: for the engine.
    """

    workers: Workers
    choice: Choice
    count: int
    groups: Sequence[WorkerGroup] = ()
    rescue: Rescue | None = None
    encoder: str | None = None
    bytes_in_flight: int = DEFAULT_BYTES_IN_FLIGHT
    batch_bytes: int = DEFAULT_BATCH_BYTES

    def batch_failures(self) -> Counter[str]:
        """What devices said of batches that failed, and how often."""
        return sum((group.failures for group in self.groups), Counter[str]())


def choose(spec: TransformSpec, options: DeviceOptions) -> Choice:
    """Decide what to run on; the machine is probed only where the answer matters.

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
    raise BackendError(f"{told('device', options.device)}: {reason}.{' ' + cure if cure else ''}")


def _usable_gpus(spec: TransformSpec, options: DeviceOptions) -> tuple[tuple[int, ...], str, str]:
    """``(ordinals, reason, cure)``; without ordinals, the reason says why there are none."""
    from gpu_pack.gpu.capabilities import unsupported
    from gpu_pack.gpu.probe import probe

    if reason := unsupported(spec):
        return (), reason, "device=cpu (--device cpu) does it."
    found = probe()
    if not found.usable:
        return (), found.reason, found.cure
    there = tuple(gpu.number for gpu in found.gpus)
    missing = [number for number in options.gpus or () if number not in there]
    if missing:
        raise UsageError(f"{told('gpus', missing[0])}: there are GPUs {', '.join(map(str, there))}")
    return options.gpus or there, found.reason, ""


def open_backend(spec: TransformSpec, options: DeviceOptions, choice: Choice, store: Store, images: int) -> Backend:
    """The chosen workers, ready to run.

    Args:
        store: where the images lie.
        images: how many there are: a few do not need all of a GPU's processes, which take seconds to start.

    Raises:
        BackendError: a GPU fails while it is set up (under ``auto``, the CPU takes over instead).
    """
    if choice.device == "cpu":
        return _cpu_backend(spec, options, choice, store)
    try:
        groups = _gpu_groups(spec, options, choice.gpus, store, images)
    except BackendError as error:
        if options.device == "auto":
            return _cpu_backend(spec, options, Choice("cpu", str(error)), store)
        raise
    # Beside a GPU with its own batch size: what suits that one would keep a CPU waiting.
    helpers = replace(options, batch_size=None)
    rescue: Rescue | None = lambda _: _interleaved(_cpu_groups(spec, helpers, store))  # noqa: E731
    encoder = groups[0].encoder
    if choice.device == "hybrid":
        groups += _cpu_groups(spec, helpers, store, low_priority=True)
    elif options.device != "auto":
        rescue = None
    count = sum(group.count for group in groups)
    return Backend(_interleaved(groups), choice, count, groups, rescue, encoder, _BYTES_IN_PROCESSES)


def _cpu_backend(spec: TransformSpec, options: DeviceOptions, choice: Choice, store: Store) -> Backend:
    """One OpenCV worker a core, unless told otherwise; in processes where many would wait for one interpreter."""
    count = _cpu_count(options)
    if count > _MAX_THREADS:
        groups = _cpu_groups(spec, options, store)
        return Backend(_interleaved(groups), choice, len(groups), groups, bytes_in_flight=_BYTES_IN_PROCESSES)
    return Backend(open_cpu_threads(spec, options, store), choice, count, batch_bytes=_THREAD_BATCH_BYTES)


def open_cpu_threads(spec: TransformSpec, options: DeviceOptions, store: Store) -> list[ReadingWorker]:
    """CPU workers for threads of this process, which read through ``store``."""
    from cpu_fallback.worker import CpuWorker

    workers = [CpuWorker(spec, f"cpu:{number}", **_batch(options)) for number in range(_cpu_count(options))]
    return [ReadingWorker(worker, store) for worker in workers]


def _cpu_groups(
    spec: TransformSpec, options: DeviceOptions, store: Store, low_priority: bool = False
) -> list[WorkerGroup]:
    from cpu_fallback.cpu_processes import cpu_worker_group
    from gpu_pack.processes.process_group import CHANNELS_PER_WORKER
    from gpu_pack.processes.worker_process import room_for

    return [
        cpu_worker_group(spec, store, f"cpu:{number}", **_batch(options), low_priority=low_priority)
        for number in range(room_for(_cpu_count(options), CHANNELS_PER_WORKER))
    ]


def _gpu_groups(
    spec: TransformSpec, options: DeviceOptions, gpus: tuple[int, ...], store: Store, images: int
) -> list[WorkerGroup]:
    from cpu_fallback.cpu_processes import cpu_worker_setup
    from cpu_fallback.worker import make_codec
    from gpu_pack.gpu.gpu_processes import gpu_worker_groups
    from gpu_pack.gpu.probe import probe
    from gpu_pack.gpu.settings import default_settings

    settings = replace(default_settings(), encoder=options.encoder, cores=options.cores)
    if options.batch_size is not None:
        settings = replace(settings, batch_size=options.batch_size)
    memory = min((gpu.memory for gpu in probe().gpus if gpu.number in gpus), default=None)
    return gpu_worker_groups(spec, make_codec, cpu_worker_setup(spec, store), gpus, settings, images, memory)


def _cpu_count(options: DeviceOptions) -> int:
    return options.workers or options.cores or available_cores()


def _batch(options: DeviceOptions) -> dict[str, int]:
    return {} if options.batch_size is None else {"batch_size": options.batch_size}


def _interleaved(groups: Sequence[WorkerGroup]) -> list[EntryWorker]:
    """One worker of each group, then the next of each: small runs use them all."""
    rows = zip_longest(*(group.channels() for group in groups))
    return [worker for row in rows for worker in row if worker is not None]
