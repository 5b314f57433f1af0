"""The CUDA kernels built for the host by a C++ compiler: each thread in its turn."""

from __future__ import annotations

import ctypes
import itertools
import math
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from gpu_pack.gpu.kernels import SOURCE

COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
_SHIM = """
#define __device__
#define __global__
struct Place { unsigned int x; };
static Place blockIdx, blockDim = {1}, threadIdx = {0};
static unsigned int atomicOr(unsigned int* at, unsigned int value) {
    unsigned int old = *at; *at |= value; return old;
}
"""


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
        if not library.exists():
            source = folder / "kernels.cpp"
            source.write_text(_SHIM + SOURCE + "".join(map(_loop, _kernels())))
            options = ["-std=c++14", "-O2", "-shared", "-fPIC", "-fwrapv", "-Wall", "-Werror", "-Wno-unused-function"]
            subprocess.run([str(COMPILER), *options, str(source), "-o", str(library)], check=True)
        self._library = ctypes.CDLL(str(library))

    def __call__(self, kernel: str, threads: int, *arguments: int | np.int32) -> None:
        values = [
            ctypes.c_int(int(value)) if isinstance(value, np.int32) else ctypes.c_void_p(value) for value in arguments
        ]
        threads += self.spare
        leap = next(leap for leap in itertools.count(self.leap) if math.gcd(leap, threads) == 1)
        getattr(self._library, f"run_{kernel}")(ctypes.c_longlong(threads), ctypes.c_longlong(leap), *values)


def _kernels() -> list[tuple[str, str]]:
    found = re.findall(r'extern "C" __global__ void (\w+)\((.*?)\)', SOURCE, re.DOTALL)
    return [(name, " ".join(parameters.split())) for name, parameters in found]


def _loop(kernel: tuple[str, str]) -> str:
    name, parameters = kernel
    arguments = ", ".join(re.findall(r"(\w+)(?:,|$)", parameters))
    return f"""
extern "C" void run_{name}(long long threads, long long leap, {parameters}) {{
    for (long long n = 0; n < threads; n++) {{
        blockIdx.x = (unsigned int)(n * leap % threads);
        {name}({arguments});
    }}
}}
"""
