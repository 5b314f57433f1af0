"""Processes with GPU workers: several share each GPU, and each has several workers.

The workers of a process share its interpreter. Processes take turns on the GPU's cores (NVIDIA's time-slicing), but
not on its JPEG engines. ``bench/prove_gpu.py`` measures which numbers are best.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from typing import cast

from gpu_pack.errors import BackendError
from gpu_pack.gpu.memory import is_full
from gpu_pack.gpu.settings import GpuSettings
from gpu_pack.processes.process_group import CHANNELS_PER_WORKER, WorkerGroup
from gpu_pack.processes.worker_main import WorkerSetup
from gpu_pack.processes.worker_process import room_for
from gpu_pack.types import Codec, EncoderName, TransformSpec, Worker

MakeCodec = Callable[[TransformSpec], Codec]
#: How many processes in a row may end without an answer before the GPU counts as broken.
_MAX_LOSSES = 2


def gpu_worker_groups(
    spec: TransformSpec,
    make_codec: MakeCodec,
    fallback: WorkerSetup,
    gpus: Sequence[int],
    settings: GpuSettings,
    images: int | None = None,
    memory: int | None = None,
) -> list[WorkerGroup]:
    """The groups of all GPUs, opened; the first of every GPU come before the second of any.

    Where a GPU's memory does not suffice, half as many processes are opened, then one with half the batch size; the
    first group's ``failures`` say so.

    Args:
        make_codec: makes the CPU codec in each process, for images that the device refuses; picklable.
        fallback: see `WorkerGroup`.
        images: how many will come; fewer processes are started if there is not a batch for each worker.
        memory: of the smallest GPU, in bytes; bounds the number of processes where ``settings`` does not give it.

    Raises:
        BackendError: a GPU or a process cannot be set up.
    """
    processes = settings.processes_per_gpu(len(gpus), memory)
    if images is not None:
        processes = min(processes, max(1, images // (len(gpus) * settings.workers * settings.batch_size)))
    processes = max(1, room_for(processes * len(gpus), CHANNELS_PER_WORKER * settings.workers) // len(gpus))
    full = 0
    while True:
        try:
            groups = _open_groups(spec, make_codec, fallback, [*gpus] * processes, settings)
            break
        except BackendError as error:
            if not is_full(error) or processes == settings.batch_size == 1:
                raise
        full += 1
        if processes > 1:
            processes //= 2
        else:
            settings = replace(settings, batch_size=settings.batch_size // 2)
    if full:
        plural = "es" if processes > 1 else ""
        groups[0].failures[
            f"a GPU's memory was full at set-up, so each has {processes} process{plural} with batches of "
            f"{settings.batch_size}"
        ] += full
    return groups


def _open_groups(
    spec: TransformSpec, make_codec: MakeCodec, fallback: WorkerSetup, devices: Sequence[int], settings: GpuSettings
) -> list[WorkerGroup]:
    """A group for each of ``devices``, opened."""
    settings = replace(settings, threads=settings.threads_per_worker(len(devices) * settings.workers))

    def setup(gpu: int, encoder: EncoderName) -> WorkerSetup:
        make = partial(_open_in_process, spec, make_codec, gpu, replace(settings, encoder=encoder))
        return WorkerSetup(make, fallback.store, "gpu_pack.gpu.open_workers")

    groups = [
        WorkerGroup(
            f"gpu:{gpu}", setup(gpu, settings.encoder), fallback, settings.workers, settings.batch_size, _MAX_LOSSES
        )
        for gpu in devices
    ]
    pool = ThreadPoolExecutor(len(groups))
    try:
        for group in groups:
            group.launch()
        groups[0].open()  # auto compares the encoders once, for all
        for group, gpu in zip(groups, devices, strict=True):
            group.setup = setup(gpu, cast(EncoderName, groups[0].encoder))
        for opened in as_completed([pool.submit(group.open) for group in groups[1:]]):
            opened.result()
        pool.shutdown()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for group in groups:
            group.close()  # ends those that are being set up, too: neither Ctrl-C nor an error waits for them
        raise
    return groups


def _open_in_process(spec: TransformSpec, make_codec: MakeCodec, gpu: int, settings: GpuSettings) -> Sequence[Worker]:
    from gpu_pack.gpu.open_workers import open_workers

    return open_workers(spec, make_codec(spec), gpu, settings)
