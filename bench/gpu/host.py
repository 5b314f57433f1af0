"""The host's work per image, with a device that takes no time: the upper limit of a run's rate on any GPU."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.gpu.measure import codec
from bench.gpu.session import Session
from gpu_pack.gpu.gpu_worker import GpuWorker
from gpu_pack.gpu.graph import Graph
from gpu_pack.gpu.memory import Memory
from gpu_pack.gpu.protocols import Crops, WorkerContext
from gpu_pack.gpu.settings import GpuSettings
from gpu_pack.output.checkpoint import RecordFileState
from gpu_pack.output.shard_writer import RecordWriter
from gpu_pack.pipeline.engine import Engine
from gpu_pack.processes.process_group import WorkerGroup
from gpu_pack.processes.worker_main import WorkerSetup
from gpu_pack.stores.local import LocalStore
from gpu_pack.types import Entry, Image, TransformSpec

#: Typical of a 224 x 224 crop at quality 95.
_CODE_BYTES = 25_700


class Nothing:
    """Decoder and encoder of a worker: crops of the right sizes, and files as long as a JPEG."""

    name = "nothing"
    accepts = Graph.accepts

    def __init__(self) -> None:
        self._code = memoryview(bytes(_CODE_BYTES))

    def run(self, batch: Any) -> Crops:
        for request in batch:
            np.frombuffer(request.data, np.uint8)
        return Crops(None, [(request.geometry.width, request.geometry.height) for request in batch], 3, [])

    def encode(self, crops: Crops) -> list[bytes | None]:
        return [bytes(self._code) for _ in crops.sizes]

    def reset(self) -> None: ...
    def rebuild(self) -> None: ...
    def close(self) -> None: ...


def nothing_workers(spec: TransformSpec, batch_size: int, workers: int) -> list[GpuWorker]:
    """Workers with a device that does nothing; runs in their process."""
    settings, nothing = GpuSettings(device="cpu", batch_size=batch_size), Nothing()
    contexts = [WorkerContext(spec, settings, 0, Memory(), ThreadPoolExecutor(1)) for _ in range(workers)]
    return [GpuWorker(context, codec(spec), nothing, nothing) for context in contexts]


def python_microseconds(datas: list[bytes], spec: TransformSpec) -> float:
    """Interpreter time per image in a worker, in microseconds."""
    (worker,) = nothing_workers(spec, len(datas), 1)
    images = [Image(Entry(key, (0.0,), ""), data) for key, data in enumerate(datas)]
    spent = []
    for _ in range(20):
        begin = time.thread_time()
        worker.transform(images)
        spent.append(time.thread_time() - begin)
    worker.close()
    return round(1e6 * min(spent) / len(images), 2)


def host_rate(session: Session, spec: TransformSpec, settings: GpuSettings, seconds: float) -> float:
    """Images/s of reading, engine, workers and writing, over ``seconds``."""
    setup = WorkerSetup(
        partial(nothing_workers, spec, settings.batch_size, settings.workers), LocalStore("."), "bench.gpu.host"
    )
    groups = [
        WorkerGroup("gpu:0", setup, setup, settings.workers, settings.batch_size, 0)
        for _ in range(settings.processes_per_gpu(1))
    ]
    for group in groups:
        group.open()
    channels = [channel for group in groups for channel in group.channels()]
    with tempfile.TemporaryDirectory() as folder:
        writer = RecordWriter(Path(folder) / "host.rec", RecordFileState(), lambda point: None)
        begin = time.perf_counter()
        for outcome in Engine(channels, bytes_in_flight=1 << 30).run(entries(session, begin + seconds)):
            writer.append(outcome)
        writer.finish()
        return round(len(writer.state.keys) / (time.perf_counter() - begin), 1)


def entries(session: Session, deadline: float) -> Iterator[Entry]:
    """The photographs, repeated until the deadline."""
    return itertools.takewhile(lambda _: time.perf_counter() < deadline, itertools.cycle(session.entries()))
