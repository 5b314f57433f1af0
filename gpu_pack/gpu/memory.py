"""Device and pinned memory, behind one seam: CuPy on a GPU, NumPy in the CPU mode.

Everything on a GPU happens on one non-blocking stream per worker. The default stream would make workers of one GPU
wait for each other.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple, Protocol

import numpy as np


class Buffer(NamedTuple):
    """A flat block of bytes.

    Attributes:
        array: one-dimensional uint8; a NumPy array on the host, a CuPy array on the device.
        address: of its first byte.
    """

    array: Any
    address: int


class Memory(Protocol):
    """What a worker needs of memory.

    Attributes:
        stream: the CUDA stream's address; 0 in the CPU mode.
    """

    stream: int

    def activate(self) -> None:
        """Make this worker's GPU and stream the calling thread's current ones."""

    def allocate(self, size: int, host: bool) -> Buffer:
        """``size`` bytes: on the host, where the device can write at full speed, or on the device itself."""

    def copy(self, target: int, source: int, size: int) -> None:
        """Queue the copy of ``size`` bytes from one address to another, wherever either lies."""

    def wait(self) -> None:
        """Until every queued copy is done."""


class HostMemory:
    """The CPU mode: plain arrays, copies done at once."""

    stream = 0

    def activate(self) -> None:
        """Nothing to do."""

    def allocate(self, size: int, host: bool) -> Buffer:
        """A NumPy array, whichever side is asked for."""
        array = np.empty(size, np.uint8)
        return Buffer(array, array.ctypes.data)

    def copy(self, target: int, source: int, size: int) -> None:
        """Copied on return."""
        ctypes.memmove(target, source, size)

    def wait(self) -> None:
        """Nothing to do."""


class CudaMemory:
    """One GPU's memory and one stream on it. No kernel is launched, so nothing is compiled when it runs."""

    def __init__(self, gpu: int) -> None:
        import cupy

        self._cupy = cupy
        self._device = cupy.cuda.Device(gpu)
        self._device.use()
        self._stream = cupy.cuda.Stream(non_blocking=True)
        self.stream: int = self._stream.ptr

    def activate(self) -> None:
        """Device and stream, both per thread. CuPy arrays then name this stream to whoever takes them over."""
        self._device.use()
        self._stream.use()

    def allocate(self, size: int, host: bool) -> Buffer:
        """Page-locked on the host, so that a copy from the device is one DMA transfer; else device memory."""
        if host:
            pinned = self._cupy.cuda.alloc_pinned_memory(size)
            return Buffer(np.frombuffer(pinned, np.uint8, size), pinned.ptr)
        array = self._cupy.empty(size, np.uint8)
        return Buffer(array, array.data.ptr)

    def copy(self, target: int, source: int, size: int) -> None:
        """cudaMemcpyDefault finds out from the addresses where each side lies."""
        runtime = self._cupy.cuda.runtime
        runtime.memcpyAsync(target, source, size, runtime.memcpyDefault, self.stream)

    def wait(self) -> None:
        """cudaStreamSynchronize; CuPy lets go of the GIL meanwhile."""
        self._stream.synchronize()
