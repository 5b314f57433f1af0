"""The CUDA kernels built for the host by a C++ compiler: each thread, or warp, in its turn."""

from __future__ import annotations

import ctypes
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_pack.gpu.kernels import SOURCE, WARP
from tests.gpu.compiler import build
from tests.gpu.signatures import KERNELS, WARP_KERNELS, Kernel

WARPS = Path(__file__).with_name("warps.h").read_text(encoding="utf-8")
#: What is CUDA in the source, for a C++ compiler.
SHIM = f"""{WARPS}
#define __device__
#define __global__
#define __shfl_up_sync shuffle_up
struct Place {{ unsigned int x; }};
static thread_local Place blockIdx, blockDim = {{1}}, threadIdx = {{0}};
static unsigned int atomicOr(unsigned int* at, unsigned int value) {{
    return __atomic_fetch_or(at, value, __ATOMIC_RELAXED);
}}
"""
_OPTIONS = "-O2", "-shared", "-fPIC", "-pthread", "-fwrapv", "-Wall", "-Werror", "-Wno-unused-function"


def folder(factory: pytest.TempPathFactory) -> Path:
    """One for the whole test run, so that the kernels are compiled once."""
    path = factory.getbasetemp() / "kernels"
    path.mkdir(exist_ok=True)
    return path


class HostLaunch:
    """A `gpu_pack.gpu.cuda_encoder.Launch`.

    Args:
        leap: the order in which the threads run, or the warps of `WARP_KERNELS`, so that one which relies on another's
            work is found out: number ``n * leap`` modulo their count comes n-th. Raised until the two have no common
            divisor.
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
        count = threads + self.spare
        if kernel in WARP_KERNELS:
            count = -(-count // WARP)
        leap = next(leap for leap in itertools.count(self.leap) if math.gcd(leap, count) == 1)
        run(self._library, kernel, ctypes.c_longlong(count), ctypes.c_longlong(leap), *map(as_c, arguments))


def run(library: ctypes.CDLL, kernel: str, *arguments: Any) -> None:
    """Calls the library's ``run_KERNEL``, which returns a fault or nothing.

    Raises:
        RuntimeError: there was a fault.
    """
    function = getattr(library, f"run_{kernel}")
    function.restype = ctypes.c_char_p
    if fault := function(*arguments):
        raise RuntimeError(f"{kernel}: {fault.decode()}")


def as_c(argument: int | np.int32) -> ctypes.c_int | ctypes.c_void_p:
    """A launch's argument: a number or an address."""
    return ctypes.c_int(int(argument)) if isinstance(argument, np.int32) else ctypes.c_void_p(argument)


def _loop(kernel: Kernel) -> str:
    if kernel.name in WARP_KERNELS:
        loop = "run_warps(count, leap, 1, run);"
    else:
        loop = "for (int64_t n = 0; n < count; n++) run(n * leap % count);"
    return f"""
extern "C" const char* run_{kernel.name}(int64_t count, int64_t leap, {kernel.declaration}) {{
    auto run = [=](int64_t thread) {{
        blockIdx.x = (unsigned int)thread;
        {kernel.name}({", ".join(kernel.parameters)});
    }};
    {loop}
    return fault.exchange(nullptr);
}}
"""
