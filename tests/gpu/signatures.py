"""The kernels' signatures, read from their source."""

from __future__ import annotations

import re
from typing import NamedTuple

from gpu_pack.gpu.kernels import SOURCE


class Kernel(NamedTuple):
    """A ``__global__`` function.

    Attributes:
        declaration: its parameters as C++ declares them.
        parameters: the type of each by its name: ``const int*`` or ``int``.
    """

    name: str
    declaration: str
    parameters: dict[str, str]


def _read(source: str) -> dict[str, Kernel]:
    found = re.findall(r'extern "C" __global__ void (\w+)\((.*?)\)', source, re.DOTALL)
    kernels = {}
    for name, text in found:
        declaration = " ".join(text.split())
        parameters = dict(parameter.rsplit(" ", 1)[::-1] for parameter in declaration.split(", "))
        kernels[name] = Kernel(name, declaration, parameters)
    assert len(kernels) == source.count("__global__"), "a kernel's signature was not understood"
    return kernels


KERNELS = _read(SOURCE)
#: Kernels whose lanes exchange values, so that a warp's must run at the same time.
WARP_KERNELS = {"bit_offsets", "byte_offsets"}
