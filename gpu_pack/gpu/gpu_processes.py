"""GPU workers in processes: several processes share each GPU, and each of them has several workers.

Workers of one process share its interpreter, those of different processes take turns on the GPU's cores (NVIDIA's
time-slicing; the JPEG engines are not part of that). ``bench/prove_gpu.py`` measures what of each is best.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import cast

from gpu_pack.errors import BackendError
from gpu_pack.gpu.settings import EncoderChoice, GpuSettings
from gpu_pack.processes.process_group import CHANNELS_PER_WORKER, WorkerGroup
from gpu_pack.processes.worker_main import WorkerSetup
from gpu_pack.processes.worker_process import ProcessEndedError, room_for
from gpu_pack.types import Codec, TransformSpec, Worker

MakeCodec = Callable[[TransformSpec], Codec]
#: So many processes in a row may end without an answer before a GPU is given up.
_LOSSES = 2


def gpu_worker_groups(
    spec: TransformSpec,
    make_codec: MakeCodec,
    fallback: WorkerSetup,
    gpus: Sequence[int],
    settings: GpuSettings,
    images: int | None = None,
) -> list[WorkerGroup]:
    """The groups of all GPUs, ready to run, GPU by GPU in turn, so that the first of each come first.

    Args:
        make_codec: makes the CPU codec over there, for images that the device refuses; a function of a module.
        fallback: see `WorkerGroup`.
        images: so many will come; without a batch for each worker there are fewer processes.

    Raises:
        BackendError: a GPU or a process fails while it is set up.
    """
    processes = settings.processes_each(len(gpus))
    if images is not None:
        processes = min(processes, max(1, images // (len(gpus) * settings.workers * settings.batch_size)))
    processes = max(1, room_for(processes * len(gpus), CHANNELS_PER_WORKER * settings.workers) // len(gpus))
    places = [gpu for _ in range(processes) for gpu in gpus]
    settings = replace(settings, threads=settings.threads_each(len(places) * settings.workers))

    def setup(gpu: int, encoder: EncoderChoice) -> WorkerSetup:
        chosen = replace(settings, encoder=encoder)
        return WorkerSetup(partial(_make, spec, make_codec, gpu, chosen), fallback.root, "gpu_pack.gpu.open_workers")

    groups = [
        WorkerGroup(
            f"gpu:{gpu}", setup(gpu, settings.encoder), fallback, settings.workers, settings.batch_size, _LOSSES
        )
        for gpu in places
    ]
    pool = ThreadPoolExecutor(len(groups))
    try:
        for group in groups:
            group.launch()
        groups[0].open()  # auto tries both encoders once, for all
        for group, gpu in zip(groups, places, strict=True):
            group.setup = setup(gpu, cast(EncoderChoice, groups[0].encoder))
        for opened in [pool.submit(group.open) for group in groups[1:]]:
            opened.result()
        pool.shutdown()
    except BaseException as error:
        pool.shutdown(wait=False, cancel_futures=True)
        for group in groups:
            group.close()  # which ends those that are still being set up, too: Ctrl-C does not wait for them
        if isinstance(error, ProcessEndedError | OSError):
            raise BackendError(f"{groups[0].name}: it cannot be set up: {error}") from error
        raise
    return groups


def _make(spec: TransformSpec, make_codec: MakeCodec, gpu: int, settings: GpuSettings) -> Sequence[Worker]:
    """In the process."""
    from gpu_pack.gpu.open_workers import open_workers

    return open_workers(spec, make_codec(spec), [gpu], settings)
