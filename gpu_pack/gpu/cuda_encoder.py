"""The encoder that runs `gpu_pack.gpu.kernels`: a batch of crops to JPEG files in one sequence of launches.

nvJPEG encodes one picture per call and waits for it, so small crops leave the device idle. Here a batch is one job
from pixels to files, and only the files are copied to the host. They equal OpenCV's, byte for byte.

Not yet run on a GPU; the tests run its PTX on the CPU. So `gpu_pack.gpu.kernel_check` examines it wherever it is used.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from gpu_pack.gpu.import_cupy import import_cupy
from gpu_pack.gpu.jpeg_tables import ZIGZAG, jpeg_tables
from gpu_pack.gpu.kernels import CHUNK, MAX_BLOCK_BITS, SOURCE, WARP
from gpu_pack.gpu.memory import Buffer
from gpu_pack.gpu.protocols import Crops, WorkerContext
from gpu_pack.types import EncoderName, TransformSpec

#: Scratch memory is allocated for the worst case, noise: 1.5 MB per image of 512 x 512.
MAX_SIZE = 512
_THREADS_PER_BLOCK = 4 * WARP
#: Called with a kernel's name, the least number of threads, and arguments: Python integers are addresses, NumPy ones
#: numbers. Starts the kernel on the thread's current stream.
Launch = Callable[..., None]


class CudaLaunch:
    """Compiles the kernels with CuPy and NVRTC for the calling thread's device; any exception if that fails."""

    def __init__(self) -> None:
        module = import_cupy().RawModule(code=SOURCE)
        module.compile()
        self._kernel = functools.cache(module.get_function)

    def __call__(self, kernel: str, threads: int, *arguments: int | np.int32) -> None:
        values = tuple(value if isinstance(value, np.int32) else np.uint64(value) for value in arguments)
        self._kernel(kernel)((-(-threads // _THREADS_PER_BLOCK),), (_THREADS_PER_BLOCK,), values)


def can_encode(spec: TransformSpec) -> bool:
    """Whether all crops are RGB, of one size, and at most `MAX_SIZE` wide."""
    return spec.color == "rgb" and spec.crop and spec.upscale and spec.size is not None and spec.size <= MAX_SIZE


class CudaEncoder:
    """An `Encoder` for the specs that `can_encode`."""

    name: EncoderName = "cuda"

    def __init__(self, context: WorkerContext, launch: Launch | None = None) -> None:
        spec, memory, batch_size = context.spec, context.memory, context.settings.batch_size
        assert can_encode(spec) and spec.size
        if launch is None and context.settings.device != "gpu":
            raise RuntimeError("its kernels need a GPU")
        self._memory, self._launch, self._edge = memory, launch or CudaLaunch(), spec.size
        self._blocks = (-(-self._edge // 16)) ** 2 * 6
        self._stride = self._blocks * MAX_BLOCK_BITS // 32 + 2
        self._chunks = -(-4 * self._stride // CHUNK)
        header, divisors, huffman = jpeg_tables(spec.size, spec.quality)
        self._overhead = len(header) + 2
        self._header, self._huffman = self._upload(np.frombuffer(header, np.uint8)), self._upload(huffman)
        self._tables = self._upload(np.concatenate([ZIGZAG, *(8 * divisors)]).astype(np.int32))
        words = {"bits": self._blocks, "lengths": 1, "words": self._stride, "stuffing": self._chunks, "sizes": 1}
        self._scratch = {name: memory.allocate(4 * batch_size * count, False) for name, count in words.items()}
        self._levels = memory.allocate(batch_size * self._blocks * 128, False)
        self._pixels = memory.allocate(batch_size * self._edge**2 * 3, False)
        self._starts = self._allocate_both(8 * batch_size)
        self._sizes = memory.allocate(4 * batch_size, True)
        self._files = self._allocate_both(batch_size * self._edge**2 // 2)

    def encode(self, crops: Crops) -> list[bytes | None]:
        count = len(crops.sizes)
        self._memory.activate()  # kernels run on the thread's current stream, which must be that of the copies
        self._encode_scans(self._contiguous(crops), count)
        self._memory.copy(self._sizes.address, self._scratch["sizes"].address, 4 * count)
        self._memory.wait()
        sizes = self._sizes.array[: 4 * count].view(np.uint32).astype(np.uint64) + np.uint64(self._overhead)
        ends = np.cumsum(sizes, dtype=np.uint64)
        total = int(ends[-1])
        if total > self._files[0].array.size:
            self._files = self._allocate_both(total * 5 // 4)
        self._write_files(ends - sizes, count)
        device, host = self._files
        self._memory.copy(host.address, device.address, total)
        self._memory.wait()
        return [host.array[start:end].tobytes() for start, end in itertools.pairwise([0, *ends.tolist()])]

    def close(self) -> None:
        del self._scratch, self._levels, self._pixels, self._files, self._launch

    def _encode_scans(self, pixels: int, count: int) -> None:
        """Leaves every image's scan and its size on the device."""
        images, edge, stride, chunks = map(np.int32, (count, self._edge, self._stride, self._chunks))
        bits, lengths, words, stuffing, sizes = (buffer.address for buffer in self._scratch.values())
        levels, huffman, blocks = self._levels.address, self._huffman.address, count * self._blocks
        self._launch("transform", blocks, pixels, levels, self._tables.address, images, edge, edge)
        self._launch("measure", blocks, levels, bits, huffman, images, edge, edge)
        self._launch("bit_offsets", count * WARP, bits, lengths, images, np.int32(self._blocks))
        self._launch("clear", count * self._stride, words, lengths, images, stride)
        self._launch("pack", blocks, levels, bits, words, huffman, images, edge, edge, stride)
        self._launch("count_stuffing", count * self._chunks, words, lengths, stuffing, images, stride, chunks)
        self._launch("byte_offsets", count * WARP, stuffing, lengths, sizes, images, chunks)

    def _write_files(self, starts: Any, count: int) -> None:
        """Writes the files on the device, one after another without gaps."""
        device, host = self._starts
        host.array[: 8 * count] = starts.view(np.uint8)
        self._memory.copy(device.address, host.address, 8 * count)
        _, lengths, words, stuffing, sizes = (buffer.address for buffer in self._scratch.values())
        numbers = map(np.int32, (count, self._stride, self._chunks, self._overhead - 2))
        addresses = words, lengths, stuffing, sizes, device.address, self._header.address, self._files[0].address
        self._launch("write_files", count * self._chunks, *addresses, *numbers)

    def _contiguous(self, crops: Crops) -> int:
        """The address of the batch's pixels, copied if they are not contiguous."""
        if crops.tensors.is_dense_tensor():
            return int(crops.tensors.as_tensor().data_ptr())
        self._memory.copy_crops(crops, self._pixels.address)
        return self._pixels.address

    def _allocate_both(self, size: int) -> tuple[Buffer, Buffer]:
        """Buffers on the device and on the host."""
        return self._memory.allocate(size, False), self._memory.allocate(size, True)

    def _upload(self, values: Any) -> Buffer:
        data = np.ascontiguousarray(values).view(np.uint8).ravel()
        device, host = self._allocate_both(data.size)
        host.array[:] = data
        self._memory.copy(device.address, host.address, data.size)
        self._memory.wait()
        return device
