"""Opens the workers of one or more GPUs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from gpu_pack.errors import BackendError
from gpu_pack.gpu.capabilities import unsupported
from gpu_pack.gpu.cuda_encoder import CudaEncoder
from gpu_pack.gpu.driver import NO_VIDEO, jpeg_engines
from gpu_pack.gpu.encoder_choice import MakeEncoder, choose_encoder
from gpu_pack.gpu.encoders import CpuEncoder, NvJpegEncoder
from gpu_pack.gpu.gpu_worker import GpuWorker, summarize
from gpu_pack.gpu.memory import CudaMemory, Memory
from gpu_pack.gpu.probe_images import benchmark_request
from gpu_pack.gpu.protocols import WorkerContext
from gpu_pack.gpu.settings import GpuSettings
from gpu_pack.gpu.split_graph import open_graph
from gpu_pack.types import Codec, EncoderName, TransformSpec

#: What ``auto`` compares encoders with: well under a second in all.
_TRIAL_IMAGES = 64
_log = logging.getLogger("gpu_pack")
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
        sample = [benchmark_request(spec)] * min(_TRIAL_IMAGES, settings.batch_size)
        encoder, left_out = choose_encoder(context, encoders, lambda: graph.run(sample))
    except Exception as error:
        pool.shutdown()
        raise BackendError(f"gpu:{gpu}: it cannot be set up: {summarize(error)}") from error
    try:
        worker = GpuWorker(context, codec, graph, encoder)
    except BackendError as error:
        if left_out:  # an encoder that failed may have broken the device for this process
            raise BackendError(f"{error}; before that, {'; '.join(left_out)}") from error
        raise
    for clause in left_out:
        _log.warning("%s: %s", worker.name, clause)
        worker.failures[f"{worker.name}: {clause}"] += 1
    return worker


def _uses_engines(gpu: int, settings: GpuSettings) -> bool:
    """Whether JPEG engines may decode; also true where the driver does not tell."""
    if settings.device != "gpu" or settings.hw_decoder_load == 0:
        return False
    found = jpeg_engines(gpu)
    return found.engines != 0 and found.reason != NO_VIDEO
