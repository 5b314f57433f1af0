"""The CUDA kernels built for the host by a C++ compiler: each thread in its turn."""

from __future__ import annotations

import ctypes
import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from gpu_pack.gpu.kernels import SOURCE
from tests.gpu.compiler import build
from tests.gpu.signatures import KERNELS, Kernel

#: What is CUDA in the source, for a C++ compiler. ``PER_THREAD`` is how the places are stored.
SHIM = """
#define __device__
#define __global__
struct Place { unsigned int x; };
static PER_THREAD Place blockIdx, blockDim = {1}, threadIdx = {0};
static unsigned int atomicOr(unsigned int* at, unsigned int value) {
    return __atomic_fetch_or(at, value, __ATOMIC_RELAXED);
}
"""
_OPTIONS = "-O2", "-shared", "-fPIC", "-fwrapv", "-Wall", "-Werror", "-Wno-unused-function", "-DPER_THREAD="


def folder(factory: pytest.TempPathFactory) -> Path:
    """One for the whole test run, so that the kernels are compiled once."""
    path = factory.getbasetemp() / "kernels"
    path.mkdir(exist_ok=True)
    return path


class HostLaunch:
    """A `gpu_pack.gpu.cuda_encoder.Launch`.

    Args:
        leap: the order in which the threads run, so that one which relies on another's work is found out: thread
            ``n * leap`` modulo their number comes n-th. Raised until the two have no common divisor.
        spare: threads beyond those asked for, as a GPU's last block has them.
    """

    def __init__(self, folder: Path, leap: int = 1, spare: int = 3) -> None:
        self.leap, self.spare = leap, spare
        library = folder / "kernels.so"
        if library.exists():
            self._library = ctypes.CDLL(str(library))
        else:
            self._library = build(SHIM + SOURCE + "".join(map(_loop, KERNELS.values())), library, *_OPTIONS)

    def __call__(self, kernel: str, threads: int, *arguments: int | np.int32) -> None:
        threads += self.spare
        leap = next(leap for leap in itertools.count(self.leap) if math.gcd(leap, threads) == 1)
        run = getattr(self._library, f"run_{kernel}")
        run(ctypes.c_longlong(threads), ctypes.c_longlong(leap), *map(as_c, arguments))


def as_c(argument: int | np.int32) -> ctypes.c_int | ctypes.c_void_p:
    """A launch's argument: a number or an address."""
    return ctypes.c_int(int(argument)) if isinstance(argument, np.int32) else ctypes.c_void_p(argument)


def _loop(kernel: Kernel) -> str:
    return f"""
extern "C" void run_{kernel.name}(long long threads, long long leap, {kernel.declaration}) {{
    for (long long n = 0; n < threads; n++) {{
        blockIdx.x = (unsigned int)(n * leap % threads);
        {kernel.name}({", ".join(kernel.parameters)});
    }}
}}
"""
