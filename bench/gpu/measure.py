"""What the parts share: workers, the measurement of rates, and the comparison of pictures."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import cv2
import numpy as np

from gpu_pack.gpu.settings import GpuSettings
from gpu_pack.processes.process_group import ProcessWorker, WorkerGroup
from gpu_pack.stores.local import LocalStore
from gpu_pack.types import Codec, Encoded, Entry, TransformSpec, Worker


def open_gpu(spec: TransformSpec, settings: GpuSettings) -> list[Worker]:
    """GPU 0's workers over the CPU codec, in this process."""
    from gpu_pack.gpu.open_workers import open_workers

    return list(open_workers(spec, codec(spec), 0, settings))


def open_groups(spec: TransformSpec, settings: GpuSettings) -> list[WorkerGroup]:
    """GPU 0's workers as a run has them."""
    from cpu_fallback.cpu_processes import cpu_worker_setup
    from cpu_fallback.worker import make_codec
    from gpu_pack.gpu.gpu_processes import gpu_worker_groups

    return gpu_worker_groups(spec, make_codec, cpu_worker_setup(spec, LocalStore(".")), [0], settings)


def codec(spec: TransformSpec) -> Codec:
    """The CPU codec."""
    from cpu_fallback.worker import make_codec

    return make_codec(spec)


def rate(
    groups: Sequence[WorkerGroup],
    entries: list[Entry],
    seconds: float,
    watch: AbstractContextManager[object] = nullcontext(),  # noqa: B008
) -> dict[str, float]:
    """Images/s of the groups side by side, together and by name, over ``seconds`` after a first batch each.

    For a GPU's workers only images that the GPU packed count; those of the CPU codec are ``left to the CPU``. ``watch``
    is entered for the seconds that are measured.
    """
    channels = [channel for group in groups for channel in group.channels()]
    batches = {channel: itertools.cycle(cut(entries, channel.batch_size)) for channel in channels}
    left: Counter[str] = Counter()

    def step(channel: ProcessWorker) -> int:
        outcomes = channel.transform(next(batches[channel]))
        if not channel.name.startswith("gpu"):
            return len(outcomes)
        own = sum(isinstance(outcome, Encoded) and outcome.backend == "gpu" for outcome in outcomes)
        left[channel.name] += len(outcomes) - own
        return own

    counts, elapsed = side_by_side([lambda channel=channel: step(channel) for channel in channels], seconds, watch)
    rates: Counter[str] = Counter({"images/s": sum(counts) / elapsed})
    for channel, count in zip(channels, counts, strict=True):
        rates[channel.name.split(":")[0]] += count / elapsed
    if sum(left.values()):
        rates["left to the CPU"] = sum(left.values()) / elapsed
    return {kind: round(value, 1) for kind, value in rates.items()}


def failures(workers: Sequence[Worker]) -> dict[str, int]:
    """The device's errors about batches, the most frequent first; empty for CPU workers."""
    found: Counter[str] = Counter()
    for worker in workers:
        found.update(getattr(worker, "failures", {}))
    return dict(found.most_common(5))


def cut(images: list[Entry], size: int) -> list[list[Entry]]:
    """Whole batches; the photographs of a small folder are repeated."""
    pool = images * (1 + size // len(images))
    return [pool[start : start + size] for start in range(0, len(pool) - size + 1, size)]


def side_by_side(
    works: Sequence[Callable[[], int]],
    seconds: float,
    watch: AbstractContextManager[object] = nullcontext(),  # noqa: B008
) -> tuple[list[int], float]:
    """Repeat each work in a thread of its own; how much each did, and the seconds in all.

    Raises:
        Exception: the first that a work raised.
    """
    counts, failures = [0] * len(works), []
    ready = threading.Barrier(len(works) + 1)
    stop = threading.Event()

    def loop(place: int) -> None:
        try:
            works[place]()  # allocates buffers and fills caches
            ready.wait()
            while not stop.is_set():
                counts[place] += works[place]()
        except Exception as error:
            failures.append(error)
            ready.abort()

    threads = [threading.Thread(target=loop, args=(place,), daemon=True) for place in range(len(works))]
    for thread in threads:
        thread.start()
    try:
        ready.wait()
    except threading.BrokenBarrierError:
        raise failures[0] if failures else RuntimeError("a worker did not start") from None
    begin = time.perf_counter()
    with watch:
        stop.wait(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return counts, time.perf_counter() - begin


def psnr(one: bytes, other: bytes) -> float:
    """Of two files' pixels, in dB; 99 for equal ones."""
    first, second = (cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) for data in (one, other))
    error = float(np.mean((first.astype(np.float64) - second) ** 2))
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))
