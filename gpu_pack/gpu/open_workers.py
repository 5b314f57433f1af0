"""Opens the workers of one or more GPUs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from gpu_pack.errors import BackendError
from gpu_pack.gpu.capabilities import unsupported
from gpu_pack.gpu.cuda_encoder import CudaEncoder, can_encode
from gpu_pack.gpu.driver import NO_VIDEO, jpeg_engines
from gpu_pack.gpu.encoders import CpuEncoder, NvJpegEncoder
from gpu_pack.gpu.gpu_worker import GpuWorker, summarize
from gpu_pack.gpu.memory import CudaMemory, Memory
from gpu_pack.gpu.probe_images import benchmark_request
from gpu_pack.gpu.protocols import Crops, Decoder, Encoder, WorkerContext
from gpu_pack.gpu.settings import GpuSettings
from gpu_pack.gpu.split_graph import open_graph
from gpu_pack.types import Codec, EncoderName, TransformSpec

#: How ``auto`` compares encoders: well under a second in all.
_TRIAL_IMAGES, _TRIALS = 64, 3
MakeEncoder = Callable[[WorkerContext], Encoder]
ENCODERS: Mapping[EncoderName, MakeEncoder] = {"cpu": CpuEncoder, "nvjpeg": NvJpegEncoder, "cuda": CudaEncoder}


def open_workers(
    spec: TransformSpec,
    codec: Codec,
    gpu: int,
    settings: GpuSettings,
    encoders: Mapping[EncoderName, MakeEncoder] = ENCODERS,
) -> list[GpuWorker]:
    """A GPU's ``settings.workers`` workers.

    Args:
        codec: the CPU codec for the same spec, for images that the device refuses.
        gpu: the CUDA device's number; only a name in the CPU mode.
        encoders: makes the encoders, by name.

    Raises:
        BackendError: the GPU does not support ``spec``, or a device fails.
    """
    if reason := unsupported(spec):
        raise BackendError(reason)
    settings = replace(settings, threads=settings.threads_per_worker(settings.workers))
    engines = _uses_engines(gpu, settings)
    if settings.check_corners is None:
        settings = replace(settings, check_corners=engines)
    if settings.device == "gpu" and not engines:
        settings = replace(settings, hw_decoder_load=0.0)  # one graph decodes all
    workers: list[GpuWorker] = []
    try:
        for _ in range(settings.workers):
            workers.append(_open(spec, codec, gpu, settings, encoders))
            settings = replace(settings, encoder=workers[0].encoder)  # auto compares once, for all workers
    except BaseException:
        for worker in workers:
            worker.close()
        raise
    return workers


def _open(
    spec: TransformSpec, codec: Codec, gpu: int, settings: GpuSettings, encoders: Mapping[EncoderName, MakeEncoder]
) -> GpuWorker:
    pool = ThreadPoolExecutor(settings.threads, thread_name_prefix=f"gpu:{gpu}")
    try:
        memory = CudaMemory(gpu) if settings.device == "gpu" else Memory()
        memory.activate()
        context = WorkerContext(spec, settings, gpu, memory, pool)
        graph = open_graph(context)
        if settings.encoder == "auto":
            encoder = _fastest([encoders["cpu"], encoders["nvjpeg"]], context, graph)
        else:
            fits = settings.encoder != "cuda" or can_encode(spec)
            encoder = encoders[settings.encoder if fits else "cpu"](context)
    except Exception as error:
        pool.shutdown()
        raise BackendError(f"gpu:{gpu}: it cannot be set up: {summarize(error)}") from error
    return GpuWorker(context, codec, graph, encoder)


def _uses_engines(gpu: int, settings: GpuSettings) -> bool:
    """Whether JPEG engines may decode; also true where the driver does not tell."""
    if settings.device != "gpu" or settings.hw_decoder_load == 0:
        return False
    found = jpeg_engines(gpu)
    return found.engines != 0 and found.reason != NO_VIDEO


def _fastest(makers: Sequence[MakeEncoder], context: WorkerContext, graph: Decoder) -> Encoder:
    """The encoder that takes the least time here. One that cannot be made is left out; the last error if none can.

    A trial with one worker says little about several side by side; ``bench/prove_gpu.py`` measures these.
    """
    crops = graph.run([benchmark_request(context.spec)] * min(_TRIAL_IMAGES, context.settings.batch_size))
    encoders: list[Encoder] = []
    failure: Exception | None = None
    for make in makers:
        try:
            encoders.append(make(context))
        except Exception as error:
            failure = error
    if failure is not None and not encoders:
        raise failure
    for encoder in encoders:
        encoder.encode(crops)  # allocates
    seconds = [min(_seconds(encoder, crops) for _ in range(_TRIALS)) for encoder in encoders]
    best = encoders.pop(seconds.index(min(seconds)))
    for encoder in encoders:
        encoder.close()
    return best


def _seconds(encoder: Encoder, crops: Crops) -> float:
    start = time.perf_counter()
    refused = None in encoder.encode(crops)
    return float("inf") if refused else time.perf_counter() - start
