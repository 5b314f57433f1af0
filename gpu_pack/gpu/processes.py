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
from gpu_pack.interface import Codec, TransformSpec, Worker
from gpu_pack.remote.child import Opening
from gpu_pack.remote.process import EndedError, room_for
from gpu_pack.remote.worker import LANES, Crew

MakeCodec = Callable[[TransformSpec], Codec]
#: So many processes in a row may end without an answer before a GPU is given up.
_LOSSES = 2


def gpu_crews(
    spec: TransformSpec,
    make_codec: MakeCodec,
    careful: Opening,
    gpus: Sequence[int],
    settings: GpuSettings,
    images: int | None = None,
) -> list[Crew]:
    """The crews of all GPUs, ready to run, GPU by GPU in turn, so that the first of each come first.

    Args:
        make_codec: makes the CPU codec over there, for images that the device refuses; a function of a module.
        careful: see `Crew`.
        images: so many will come; without a batch for each worker there are fewer processes.

    Raises:
        BackendError: a GPU or a process fails while it is set up.
    """
    processes = settings.processes_each(len(gpus))
    if images is not None:
        processes = min(processes, max(1, images // (len(gpus) * settings.workers * settings.batch_size)))
    processes = max(1, room_for(processes * len(gpus), LANES * settings.workers) // len(gpus))
    places = [gpu for _ in range(processes) for gpu in gpus]
    settings = replace(settings, threads=settings.threads_each(len(places) * settings.workers))

    def opening(gpu: int, encoder: EncoderChoice) -> Opening:
        chosen = replace(settings, encoder=encoder)
        return Opening(partial(_make, spec, make_codec, gpu, chosen), careful.root, "gpu_pack.gpu.worker")

    crews = [
        Crew(f"gpu:{gpu}", opening(gpu, settings.encoder), careful, settings.workers, settings.batch_size, _LOSSES)
        for gpu in places
    ]
    pool = ThreadPoolExecutor(len(crews))
    try:
        for crew in crews:
            crew.launch()
        crews[0].open()  # auto tries both encoders once, for all
        for crew, gpu in zip(crews, places, strict=True):
            crew.opening = opening(gpu, cast(EncoderChoice, crews[0].encoder))
        for opened in [pool.submit(crew.open) for crew in crews[1:]]:
            opened.result()
        pool.shutdown()
    except BaseException as error:
        pool.shutdown(wait=False, cancel_futures=True)
        for crew in crews:
            crew.close()  # which ends those that are still being set up, too: Ctrl-C does not wait for them
        if isinstance(error, EndedError | OSError):
            raise BackendError(f"{crews[0].name}: it cannot be set up: {error}") from error
        raise
    return crews


def _make(spec: TransformSpec, make_codec: MakeCodec, gpu: int, settings: GpuSettings) -> Sequence[Worker]:
    """In the process."""
    from gpu_pack.gpu.worker import open_workers

    return open_workers(spec, make_codec(spec), [gpu], settings)
