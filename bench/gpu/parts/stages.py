"""Where the time goes: each stage alone, with one worker and with as many as the sweep found best."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.gpu.host import host_rate, python_microseconds
from bench.gpu.measure import side_by_side
from bench.gpu.record import Figures
from bench.gpu.session import Session
from gpu_pack.formats.image_headers import read_header
from gpu_pack.geometry import crop_resize
from gpu_pack.gpu.memory import CudaMemory, Memory
from gpu_pack.gpu.protocols import DecodeRequest, WorkerContext
from gpu_pack.types import EncoderName, TransformSpec

_SPEC = TransformSpec()


def stages(session: Session) -> None:
    settings = session.settings(encoder="cpu")
    channels = settings.workers * settings.processes_per_gpu(1)
    seconds, expected = (0.1, 5.0) if session.rehearsal else (3.0, 30.0)
    work = _Work(session, channels, seconds)
    encoders: tuple[EncoderName, ...] = ("cpu", "nvjpeg") if session.rehearsal else ("cpu", "nvjpeg", "cuda")

    def item(name: str, measure: Callable[[], Figures]) -> None:
        session.item(name, expected, measure)

    item("python us/image", lambda: {"us": python_microseconds(work.datas, _SPEC)})
    item(f"host x{channels}", lambda: {"images/s": host_rate(session, _SPEC, settings, seconds)})
    for count in sorted({1, channels}):
        item(f"graph x{count}", lambda count=count: work.together(work.decoding, count))
        for name in encoders:
            item(
                f"encode {name} x{count}",
                lambda name=name, count=count: work.together(lambda: work.encoding(name), count),
            )
    for load in () if session.rehearsal else (0.0, 1.0):
        item(
            f"graph x{channels}, load={load:g}",
            lambda load=load: work.together(lambda: work.decoding(hw_decoder_load=load), channels),
        )


class _Work:
    """Makes functions that do one batch of a stage and give the number of images."""

    def __init__(self, session: Session, channels: int, seconds: float) -> None:
        self._session, self._seconds = session, seconds
        settings = session.settings(encoder="cpu")
        self._settings = dataclasses.replace(settings, threads=settings.threads_per_worker(channels))
        self.datas = [image.data for image in session.images(settings.batch_size)]
        self._requests = [
            DecodeRequest(data, crop_resize(*read_header(data).upright_size, _SPEC), (0, 0)) for data in self.datas
        ]

    def together(self, make: Callable[[], Callable[[], int]], count: int) -> Figures:
        counts, elapsed = side_by_side([make() for _ in range(count)], self._seconds)
        return {"images/s": round(sum(counts) / elapsed, 1)}

    def decoding(self, **changes: Any) -> Callable[[], int]:
        from gpu_pack.gpu.graph import Graph

        graph = Graph(self._context(**changes))
        return lambda: len(graph.run(self._requests).sizes)

    def encoding(self, name: EncoderName) -> Callable[[], int]:
        from gpu_pack.gpu.graph import Graph
        from gpu_pack.gpu.open_workers import ENCODERS

        context = self._context()
        graph = Graph(context)
        crops, encoder = graph.run(self._requests), ENCODERS[name](context)

        def step() -> int:
            context.memory.activate()  # a stream is current for one thread only
            return len(encoder.encode(crops))

        return step

    def _context(self, **changes: Any) -> WorkerContext:
        settings = dataclasses.replace(self._settings, **changes)
        memory = Memory() if self._session.rehearsal else CudaMemory(0)
        memory.activate()
        return WorkerContext(_SPEC, settings, 0, memory, ThreadPoolExecutor(settings.threads_per_worker(1)))
