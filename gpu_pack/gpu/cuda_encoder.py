"""A whole batch of crops to JPEG in one chain of launches: `gpu_pack.gpu.kernels` behind the encoder seam.

nvJPEG encodes one picture per call and waits for it; small crops leave the device idle in between. Here the batch is
one job from pixels to stuffed bytes, and only finished files come down. The files are OpenCV's, byte for byte.

It has never run on a GPU, only compiled for the host by a test, so ``auto`` does not consider it yet.
"""

from __future__ import annotations

import itertools
from typing import Any, Protocol

import numpy as np

from gpu_pack.gpu import jpeg_tables
from gpu_pack.gpu.kernels import CHUNK, MOST_BITS_A_BLOCK, SOURCE
from gpu_pack.gpu.memory import Buffer, Memory
from gpu_pack.gpu.protocols import Crops
from gpu_pack.types import TransformSpec

#: Scratch memory grows with the crops' area for the worst case of noise: at 512 x 512, 1.5 MB an image.
LARGEST = 512
_THREADS_A_BLOCK = 128


class Launch(Protocol):
    """Starts a kernel of `gpu_pack.gpu.kernels` on the worker's stream."""

    def __call__(self, kernel: str, threads: int, *arguments: int | np.int32) -> None:
        """``threads`` of it or more; Python integers are addresses, NumPy ones are numbers."""
        ...


class CudaLaunch:
    """Compiled by CuPy through NVRTC when it is made, for the calling thread's device.

    Raises:
        Exception: NVRTC is not installed, or cannot compile it.
    """

    def __init__(self) -> None:
        import cupy

        self._module = cupy.RawModule(code=SOURCE)
        self._module.compile()
        self._kernels: dict[str, Any] = {}

    def __call__(self, kernel: str, threads: int, *arguments: int | np.int32) -> None:
        """On the thread's current stream, which `Memory.activate` makes the worker's."""
        if kernel not in self._kernels:
            self._kernels[kernel] = self._module.get_function(kernel)
        values = tuple(value if isinstance(value, np.int32) else np.uint64(value) for value in arguments)
        self._kernels[kernel]((-(-threads // _THREADS_A_BLOCK),), (_THREADS_A_BLOCK,), values)


def serves(spec: TransformSpec) -> bool:
    """Whether all crops are RGB, of one size, and not too large."""
    return spec.color == "rgb" and spec.crop and spec.upscale and spec.size is not None and spec.size <= LARGEST


class BatchEncoder:
    """The kernels as an encoder.

    Args:
        spec: one that `serves` accepts.
        batch_size: the most crops at once.
    """

    name = "cuda"

    def __init__(self, spec: TransformSpec, memory: Memory, launch: Launch, batch_size: int) -> None:
        assert serves(spec) and spec.size
        self._memory, self._launch, self._edge = memory, launch, spec.size
        self._blocks = (-(-self._edge // 16)) ** 2 * 6
        self._stride = self._blocks * MOST_BITS_A_BLOCK // 32 + 2
        self._chunks = -(-4 * self._stride // CHUNK)
        header = jpeg_tables.header(self._edge, self._edge, spec.quality)
        self._frame = len(header) + 2
        divisors = [8 * table for table in jpeg_tables.quantisation(spec.quality)]
        tables = np.concatenate([np.array(jpeg_tables.ZIGZAG), *divisors]).astype(np.int32)
        self._header = self._on_device(np.frombuffer(header, np.uint8))
        self._tables, self._huffman = self._on_device(tables), self._on_device(jpeg_tables.huffman())
        words = {"bits": self._blocks, "lengths": 1, "words": self._stride, "stuffing": self._chunks, "sizes": 1}
        self._scratch = {name: self._device(4 * batch_size * count) for name, count in words.items()}
        self._levels = self._device(batch_size * self._blocks * 128)
        self._pixels = self._device(batch_size * self._edge**2 * 3)
        self._starts = self._device(8 * batch_size), memory.allocate(8 * batch_size, True)
        self._sizes = memory.allocate(4 * batch_size, True)
        self._files = self._room(batch_size * self._edge**2 // 2)

    def encode(self, crops: Crops) -> list[bytes | None]:
        """A JPEG for each crop, byte for byte what OpenCV writes for the same pixels."""
        count = len(crops.sizes)
        self._memory.activate()  # kernels go to the thread's current stream, copies to the worker's: they must be one
        self._scan(self._address(crops), count)
        self._memory.copy(self._sizes.address, self._scratch["sizes"].address, 4 * count)
        self._memory.wait()
        sizes = self._sizes.array[: 4 * count].view(np.uint32).astype(np.uint64) + np.uint64(self._frame)
        ends = np.cumsum(sizes, dtype=np.uint64)
        total = int(ends[-1])
        if total > self._files[0].array.size:
            self._files = self._room(total * 5 // 4)
        self._write(ends - sizes, count)
        device, host = self._files
        self._memory.copy(host.address, device.address, total)
        self._memory.wait()
        edges = [0, *ends.tolist()]
        return [host.array[start:end].tobytes() for start, end in itertools.pairwise(edges)]

    def close(self) -> None:
        """Free the buffers."""
        del self._scratch, self._levels, self._pixels, self._files, self._launch

    def _scan(self, pixels: int, count: int) -> None:
        """Every image's scan and its size, left on the device."""
        images, edge, stride, chunks = map(np.int32, (count, self._edge, self._stride, self._chunks))
        bits, lengths, words, stuffing, sizes = (buffer.address for buffer in self._scratch.values())
        levels, huffman, blocks = self._levels.address, self._huffman.address, count * self._blocks
        self._launch("transform", blocks, pixels, levels, self._tables.address, images, edge, edge)
        self._launch("measure", blocks, levels, bits, huffman, images, edge, edge)
        self._launch("bit_offsets", count, bits, lengths, images, np.int32(self._blocks))
        self._launch("clear", count * self._stride, words, lengths, images, stride)
        self._launch("pack", blocks, levels, bits, words, huffman, images, edge, edge, stride)
        self._launch("count_stuffing", count * self._chunks, words, lengths, stuffing, images, stride, chunks)
        self._launch("byte_offsets", count, stuffing, lengths, sizes, images)

    def _write(self, starts: Any, count: int) -> None:
        """The files, one behind the other."""
        device, host = self._starts
        host.array[: 8 * count] = starts.view(np.uint8)
        self._memory.copy(device.address, host.address, 8 * count)
        _, lengths, words, stuffing, sizes = (buffer.address for buffer in self._scratch.values())
        numbers = map(np.int32, (count, self._stride, self._chunks, self._frame - 2))
        places = words, lengths, stuffing, sizes, device.address, self._header.address, self._files[0].address
        self._launch("write_files", count * self._chunks, *places, *numbers)

    def _address(self, crops: Crops) -> int:
        """Of the batch's pixels in one piece."""
        if crops.tensors.is_dense_tensor():
            return int(crops.tensors.as_tensor().data_ptr())
        size = self._edge**2 * 3
        for index in range(len(crops.sizes)):
            self._memory.copy(self._pixels.address + index * size, crops.tensors[index].data_ptr(), size)
        return self._pixels.address

    def _device(self, size: int) -> Buffer:
        return self._memory.allocate(size, False)

    def _room(self, size: int) -> tuple[Buffer, Buffer]:
        return self._device(size), self._memory.allocate(size, True)

    def _on_device(self, values: Any) -> Buffer:
        data = np.ascontiguousarray(values).view(np.uint8).ravel()
        host, device = self._memory.allocate(data.size, True), self._device(data.size)
        host.array[:] = data
        self._memory.copy(device.address, host.address, data.size)
        self._memory.wait()
        return device
