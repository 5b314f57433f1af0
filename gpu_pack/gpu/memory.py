"""Device and pinned memory: CuPy on a GPU, NumPy in the CPU mode.

Each worker has one non-blocking stream, since the default stream would make a GPU's workers wait for each other.
"""

from __future__ import annotations

import ctypes
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gpu_pack.gpu.import_cupy import import_cupy

if TYPE_CHECKING:
    from gpu_pack.gpu.protocols import Crops

#: Messages of DALI, nvJPEG, nvImageCodec and CuPy about full device memory.
_OUT_OF_MEMORY = re.compile(
    "out of memory|memory ?allocation|can't allocate|cuda allocation|bad_alloc|allocator_fail", re.IGNORECASE
)


def is_full(error: BaseException) -> bool:
    """Whether the error says that the device's memory is full."""
    return isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)) is not None


class Buffer(NamedTuple):
    """A flat uint8 array, of NumPy on the host or of CuPy on the device, and the address of its first byte."""

    array: Any
    address: int


class Memory:
    """Allocates and copies for one worker. This class is the CPU mode, in which the device is the host.

    Attributes:
        stream: the CUDA stream's address; 0 in the CPU mode.
    """

    stream = 0

    def activate(self) -> None:
        """Make the worker's GPU and stream the calling thread's current ones."""

    def allocate(self, size: int, host: bool) -> Buffer:
        """``size`` bytes on the host, page-locked, or on the device."""
        array = np.empty(size, np.uint8)
        return Buffer(array, array.ctypes.data)

    def copy(self, target: int, source: int, size: int) -> None:
        """Queue a copy of ``size`` bytes between addresses on the host or the device."""
        ctypes.memmove(target, source, size)

    def copy_crops(self, crops: Crops, target: int) -> None:
        """Queue copies of the crops' pixels to the address ``target``, one crop after another without gaps."""
        counts = crops.byte_counts()
        if crops.tensors.is_dense_tensor():
            self.copy(target, crops.tensors.as_tensor().data_ptr(), sum(counts))
            return
        for index, count in enumerate(counts):
            self.copy(target, crops.tensors[index].data_ptr(), count)
            target += count

    def wait(self) -> None:
        """Return when every queued copy is done."""

    def wait_device(self) -> None:
        """Return when the device has done all work of this process, on every stream."""


class CudaMemory(Memory):
    """One GPU's memory and one stream on it. It launches no CuPy kernels, so CuPy compiles nothing."""

    def __init__(self, gpu: int) -> None:
        self._cupy = cupy = import_cupy()
        self._device = cupy.cuda.Device(gpu)
        self._device.use()
        self._stream = cupy.cuda.Stream(non_blocking=True)
        self.stream: int = self._stream.ptr

    def activate(self) -> None:
        # Libraries that take CuPy arrays then synchronise with this stream.
        self._device.use()
        self._stream.use()

    def allocate(self, size: int, host: bool) -> Buffer:
        if host:
            pinned = self._cupy.cuda.alloc_pinned_memory(size)
            return Buffer(np.frombuffer(pinned, np.uint8, size), pinned.ptr)
        array = self._cupy.empty(size, np.uint8)
        return Buffer(array, array.data.ptr)

    def copy(self, target: int, source: int, size: int) -> None:
        runtime = self._cupy.cuda.runtime
        runtime.memcpyAsync(target, source, size, runtime.memcpyDefault, self.stream)

    def wait(self) -> None:
        self._stream.synchronize()  # releases the GIL

    def wait_device(self) -> None:
        self._device.use()
        self._cupy.cuda.runtime.deviceSynchronize()
