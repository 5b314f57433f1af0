"""Workers of the GPU path, opened once per test run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from cpu_fallback.worker import make_codec
from gpu_pack.gpu.settings import GpuSettings
from gpu_pack.types import TransformSpec
from tests.gpu.device import DEVICE, need_dali


@pytest.fixture(scope="session")
def open_worker() -> Iterator[Callable]:
    """A function from a spec and settings to a GpuWorker over the CPU codec.

    It gives the same worker for the same arguments; one that a test closes needs a ``number`` of its own.
    """
    need_dali()
    from gpu_pack.gpu.open_workers import open_workers

    opened = {}

    def open_one(spec: TransformSpec, number: int = 0, **settings):
        settings = {"batch_size": 16, "threads": 2, "encoder": "cpu", "device": DEVICE, **settings}
        key = spec, number, tuple(settings.items())
        if key not in opened:
            (opened[key],) = open_workers(spec, make_codec(spec), 0, GpuSettings(workers=1, **settings))
        return opened[key]

    yield open_one
    for worker in opened.values():
        worker.close()
