"""The device that the tests of the GPU path use: the CPU mode of DALI and nvImageCodec, or a GPU with REQUIRE_GPU=1.

REQUIRE_GPU=1 also makes missing GPU packages a failure instead of a skip.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gpu_pack.gpu.driver import Gpu
from gpu_pack.gpu.memory import Buffer, CudaMemory, Memory
from gpu_pack.gpu.probe import Probe
from gpu_pack.gpu.protocols import WorkerContext
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


def context(spec: TransformSpec, device: str = DEVICE, **settings) -> WorkerContext:
    """What a decoder or an encoder is made of."""
    settings = {"batch_size": 16, "threads": 2, "encoder": "cpu", **settings}
    memory = CudaMemory(0) if device == "gpu" else Memory()
    pool = ThreadPoolExecutor(settings["threads"])
    return WorkerContext(spec, GpuSettings(device=device, **settings), 0, memory, pool)


class ZeroedMemory(Memory):
    """Device memory that kernels which do nothing leave in order."""

    def allocate(self, size: int, host: bool) -> Buffer:
        array = np.zeros(size, np.uint8)
        return Buffer(array, array.ctypes.data)


def probe_of(count: int = 1) -> Probe:
    """What the probe finds on a machine with GPUs; in the CPU mode they only have numbers."""
    gpus = tuple(Gpu(number, "CPU mode", 1 << 30, (9, 0)) for number in range(count))
    return Probe(True, "CPU mode", gpus=gpus)
