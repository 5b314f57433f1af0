"""The real graph and encoders, in the CPU mode of DALI and nvImageCodec unless REQUIRE_GPU=1.

REQUIRE_GPU=1 runs them on the GPU, and turns what would be a skip into a failure: no GPU run passes by skipping.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from cpu_fallback.worker import make_codec
from gpu_pack.gpu.settings import GpuSettings
from gpu_pack.types import TransformSpec

REQUIRE_GPU = os.environ.get("REQUIRE_GPU") == "1"
DEVICE = "gpu" if REQUIRE_GPU else "cpu"


def need_dali() -> None:
    """Skip where DALI or nvImageCodec is not installed; fail there if a GPU run is required."""
    try:
        import nvidia.dali
        import nvidia.nvimgcodec  # noqa: F401
    except ImportError as error:
        if REQUIRE_GPU:
            raise
        pytest.skip(f"the GPU packages are not installed: {error}")


@pytest.fixture
def open_worker() -> Iterator[Callable]:
    """A function from a spec (and settings) to a GpuWorker over the CPU codec; closes what it opened."""
    need_dali()
    from gpu_pack.gpu.open_workers import open_workers

    opened = []

    def open_one(spec: TransformSpec, **settings):
        settings = {"batch_size": 16, "threads": 2, "encoder": "cpu", "device": DEVICE, **settings}
        opened.extend(open_workers(spec, make_codec(spec), [0], GpuSettings(workers=1, **settings)))
        return opened[-1]

    yield open_one
    for worker in opened:
        worker.close()
