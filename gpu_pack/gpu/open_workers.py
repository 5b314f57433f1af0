"""Workers of one or more GPUs, opened and ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from gpu_pack.errors import BackendError
from gpu_pack.gpu.capabilities import supports
from gpu_pack.gpu.cuda_encoder import BatchEncoder, CudaLaunch, serves
from gpu_pack.gpu.encoders import CpuEncoder, NvJpegEncoder
from gpu_pack.gpu.gpu_worker import GpuWorker, brief
from gpu_pack.gpu.graph import Graph
from gpu_pack.gpu.memory import CudaMemory, HostMemory, Memory
from gpu_pack.gpu.probe_images import photograph
from gpu_pack.gpu.protocols import Decoder, Encoder
from gpu_pack.gpu.settings import GpuSettings
from gpu_pack.types import Codec, TransformSpec

__all__ = ["GpuWorker", "open_workers"]

#: Pictures per trial of an encoder, and how often; together well under a second.
_TRIAL_PICTURES, _TRIALS = 64, 3


def open_workers(spec: TransformSpec, codec: Codec, gpus: Sequence[int], settings: GpuSettings) -> list[GpuWorker]:
    """``settings.workers`` workers for each GPU, GPU by GPU in turn, so that the first of each come first.

    Args:
        codec: the CPU codec for the same spec, for images that the device refuses.
        gpus: CUDA device numbers; in the CPU mode they only give names.

    Raises:
        BackendError: the GPU cannot do what ``spec`` asks for, or a device fails while it is set up.
    """
    reason = supports(spec)
    if reason:
        raise BackendError(reason)
    places = [gpu for _ in range(settings.workers) for gpu in gpus]
    threads = settings.threads_each(len(places))
    choice: str = settings.encoder
    workers: list[GpuWorker] = []
    try:
        for gpu in places:
            workers.append(_open(spec, codec, gpu, settings, choice, threads))
            choice = workers[0].encoder  # auto tries both once, for all
    except BaseException:
        for worker in workers:
            worker.close()
        raise
    return workers


def _open(spec: TransformSpec, codec: Codec, gpu: int, settings: GpuSettings, choice: str, threads: int) -> GpuWorker:
    name, on_gpu = f"gpu:{gpu}", settings.device == "gpu"
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    try:
        memory: Memory = CudaMemory(gpu) if on_gpu else HostMemory()
        memory.activate()
        graph = Graph(spec, settings, gpu, threads)
        makers: dict[str, Callable[[], Encoder]] = {
            "cpu": lambda: CpuEncoder(spec, memory, pool, threads),
            "nvjpeg": lambda: NvJpegEncoder(spec, memory, gpu if on_gpu else None, threads),
        }
        if choice == "auto":
            encoder = _faster(list(makers.values()), graph, spec, settings)
        elif choice == "cuda" and serves(spec):
            encoder = BatchEncoder(spec, memory, CudaLaunch(), settings.batch_size)
        else:
            encoder = makers["cpu" if choice == "cuda" else choice]()
    except Exception as error:
        pool.shutdown()
        raise BackendError(f"{name}: it cannot be set up: {brief(error)}") from error
    return GpuWorker(name, spec, settings, codec, memory, graph, encoder, pool)


def _faster(makers: list[Callable[[], Encoder]], graph: Decoder, spec: TransformSpec, settings: GpuSettings) -> Encoder:
    """Whichever of the encoders is quicker here, with the threads that a worker has.

    A trial instead of a table, because nothing was measured on a GPU yet; ``bench/prove_gpu.py`` measures both, also
    with several workers side by side, which a trial at start cannot tell.
    """
    count = min(_TRIAL_PICTURES, settings.batch_size)
    crops = graph.run([photograph(spec)] * count)
    encoders = _those_that_can_be_made(makers)
    times = []
    for encoder in encoders:
        encoder.encode(crops)  # the first one allocates
        rounds = []
        for _ in range(_TRIALS):
            start = time.perf_counter()
            refused = encoder.encode(crops).count(None)
            rounds.append(time.perf_counter() - start if not refused else float("inf"))
        times.append(min(rounds))
    best = encoders[times.index(min(times))]
    for encoder in encoders:
        if encoder is not best:
            encoder.close()
    return best


def _those_that_can_be_made(makers: list[Callable[[], Encoder]]) -> list[Encoder]:
    """A GPU without nvJPEG still decodes for the CPU's encoder."""
    encoders: list[Encoder] = []
    failure: Exception | None = None
    for maker in makers:
        try:
            encoders.append(maker())
        except Exception as error:
            failure = error
    if failure is not None and not encoders:
        raise failure
    return encoders
