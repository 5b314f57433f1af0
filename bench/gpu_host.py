"""What the host does for each image, with a device that costs nothing: the ceiling of the whole, whatever the GPU."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from gpu_measure import Session, codec

from gpu_pack.engine import Engine
from gpu_pack.gpu.isolation import GpuWorker
from gpu_pack.gpu.memory import HostMemory
from gpu_pack.gpu.pipeline import Graph
from gpu_pack.gpu.seam import Crops
from gpu_pack.gpu.settings import GpuSettings
from gpu_pack.interface import Entry, Image, TransformSpec
from gpu_pack.reading import read_images
from gpu_pack.recovery import Written
from gpu_pack.writer import RecordWriter

#: A 224 x 224 crop at quality 95 is about so large.
_CODE_BYTES = 25_700


class Nothing:
    """Graph and encoder of a worker: crops of the right sizes, and bytes as long as a JPEG's."""

    name = "nothing"
    accepts = Graph.accepts

    def __init__(self) -> None:
        self._code = memoryview(bytes(_CODE_BYTES))

    def run(self, batch: Any) -> Crops:
        for request in batch:
            np.frombuffer(request.data, np.uint8)
        return Crops(None, [(request.plan.width, request.plan.height) for request in batch], 3, [])

    def encode(self, crops: Crops) -> list[bytes | None]:
        return [bytes(self._code) for _ in crops.sizes]

    def reset(self) -> None: ...
    def rebuild(self) -> None: ...
    def close(self) -> None: ...


def _worker(spec: TransformSpec, batch_size: int) -> GpuWorker:
    settings, nothing = GpuSettings(device="cpu", batch_size=batch_size), Nothing()
    return GpuWorker("gpu:0", spec, settings, codec(spec), HostMemory(), nothing, nothing, ThreadPoolExecutor(1))


def python_microseconds(datas: list[bytes], spec: TransformSpec) -> float:
    """What the interpreter does for each image in a worker."""
    worker = _worker(spec, len(datas))
    images = [Image(Entry(key, (0.0,), ""), data) for key, data in enumerate(datas)]
    spent = []
    for _ in range(20):
        begin = time.thread_time()
        worker.transform(images)
        spent.append(time.thread_time() - begin)
    worker.close()
    return round(1e6 * min(spent) / len(images), 2)


def host_rate(session: Session, spec: TransformSpec, workers: int, seconds: float) -> float:
    """Images/s of reading, engine, workers and writing, over ``seconds``."""
    entries = [Entry(key, (0.0,), path.as_posix(), path.stat().st_size) for key, path in enumerate(session.files())]
    deadline = time.perf_counter() + seconds

    def listed() -> Iterator[Entry]:
        for entry in itertools.cycle(entries):
            if time.perf_counter() > deadline:
                return
            yield entry

    with tempfile.TemporaryDirectory() as folder:
        writer = RecordWriter(Path(folder) / "host.rec", Written(), lambda point: None)
        engine = Engine([_worker(spec, session.settings().batch_size) for _ in range(workers)])
        begin = time.perf_counter()
        for outcome in engine.run(read_images(listed(), ".", threads=2)):
            writer.append(outcome)
        writer.finish()
        return round(len(writer.written.keys) / (time.perf_counter() - begin), 1)
