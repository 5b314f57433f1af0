"""Crops to JPEG: on the device through nvImageCodec, or copied down and encoded by CPU threads. One seam for both."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

import cv2
from nvidia import nvimgcodec

from gpu_pack.gpu.memory import Buffer, Memory
from gpu_pack.gpu.protocols import Crops
from gpu_pack.gpu.settings import available_cores
from gpu_pack.types import TransformSpec


class CropStaging:
    """A buffer of our own that batches are copied into.

    It gives crops a fixed place: what an encoder must know of each is made once and used for every batch of the same
    sizes, and DALI may go on with its own memory.

    Args:
        host: where the copies shall lie, on the host or on the device.
        wrap: what turns the copies, uint8 arrays of (height, width, 3) or (height, width), into what the encoder takes.
    """

    def __init__(self, memory: Memory, host: bool, wrap: Callable[[list[Any]], list[Any]]) -> None:
        self._memory, self._host, self._wrap = memory, host, wrap
        self._buffer: Buffer | None = None
        self._sizes: list[tuple[int, int]] = []
        self._wrapped: list[Any] = []

    def load(self, crops: Crops) -> list[Any]:
        """The crops, copied and wrapped. The copies are complete, so any stream may read them."""
        lengths = [width * height * crops.channels for width, height in crops.sizes]
        buffer = self._lay_out(crops, lengths)
        if crops.tensors.is_dense_tensor():
            self._memory.copy(buffer.address, crops.tensors.as_tensor().data_ptr(), sum(lengths))
        else:
            for index, (offset, length) in enumerate(zip(_starts(lengths), lengths, strict=True)):
                self._memory.copy(buffer.address + offset, crops.tensors[index].data_ptr(), length)
        self._memory.wait()
        return self._wrapped[: len(lengths)]

    def _lay_out(self, crops: Crops, lengths: list[int]) -> Buffer:
        if self._buffer is not None and crops.sizes == self._sizes[: len(crops.sizes)]:
            return self._buffer
        self._wrapped = []  # they hold on to the buffer
        buffer = self._at_least(sum(lengths))
        views = [
            buffer.array[offset : offset + length].reshape((height, width, crops.channels)[: 2 + (crops.channels > 1)])
            for offset, length, (width, height) in zip(_starts(lengths), lengths, crops.sizes, strict=True)
        ]
        self._wrapped, self._sizes = self._wrap(views), crops.sizes
        return buffer

    def _at_least(self, size: int) -> Buffer:
        if self._buffer is None or self._buffer.array.size < size:
            self._buffer, self._sizes = None, []  # freed before its successor is allocated
            self._buffer = self._memory.allocate(size, self._host)
        return self._buffer


class NvJpegEncoder:
    """nvImageCodec: nvJPEG on the device, libjpeg-turbo in the CPU mode.

    nvImageCodec encodes one image per call inside, each of its threads on a stream of its own that first waits for the
    stream named in the image. `encode` returns when all are done.

    Args:
        gpu: the CUDA device's number; None for the CPU mode.
        threads: how many images are encoded at once.
    """

    name = "nvjpeg"

    def __init__(self, spec: TransformSpec, memory: Memory, gpu: int | None, threads: int) -> None:
        self._pinned = gpu is not None
        self._gray = spec.color == "gray"
        if gpu is None:
            cpu = nvimgcodec.Backend(nvimgcodec.BackendKind.CPU_ONLY)
            device, backends = nvimgcodec.NVIMGCODEC_DEVICE_CPU_ONLY, [cpu]
        else:
            device, backends = gpu, None
        threads = min(threads, max(1, available_cores() - 1))  # it takes no more, and says so on standard output
        self._encoder = nvimgcodec.Encoder(device_id=device, max_num_cpu_threads=threads, backends=backends)
        sampling = nvimgcodec.ChromaSubsampling
        self._params = nvimgcodec.EncodeParams(
            quality_type=nvimgcodec.QualityType.QUALITY,
            quality_value=spec.quality,
            chroma_subsampling=sampling.CSS_GRAY if self._gray else sampling.CSS_420,
            jpeg_encode_params=nvimgcodec.JpegEncodeParams(progressive=False, optimized_huffman=False),
        )
        self._stream = memory.stream
        self._staging = CropStaging(memory, host=False, wrap=self._images)
        self._outputs: list[Any] = []

    def encode(self, crops: Crops) -> list[bytes | None]:
        """A JPEG for each crop; None where nvImageCodec refused it."""
        images = self._staging.load(crops)
        # Output buffers are reused: a new pinned one for each image would cost more than encoding it.
        for _ in range(len(images) - len(self._outputs)):
            self._outputs.append(nvimgcodec.CodeStream(pre_allocated_size=1 << 16, pin_memory=self._pinned))
        outputs = self._outputs[: len(images)]
        codes = self._encoder.encode(
            images, "jpeg", code_stream_s=outputs, params=self._params, cuda_stream=self._stream
        )
        return [None if code is None else bytes(code) for code in codes]

    def close(self) -> None:
        """Free the encoder and its buffers."""
        del self._encoder, self._staging, self._outputs

    def _images(self, views: list[Any]) -> list[Any]:
        sample_format = nvimgcodec.SampleFormat.P_Y if self._gray else nvimgcodec.SampleFormat.I_RGB
        images: list[Any] = nvimgcodec.as_images(views, self._stream, sample_format=sample_format)
        return images


class CpuEncoder:
    """OpenCV on the host: the whole batch comes down in one copy, and threads encode it.

    Args:
        pool: where the encoding runs, in ``threads`` parts.
    """

    name = "cpu"

    def __init__(self, spec: TransformSpec, memory: Memory, pool: Executor, threads: int) -> None:
        cv2.setNumThreads(1)  # the parallelism is over images; OpenCV's own threads would only get in their way
        self._pool, self._threads = pool, threads
        self._staging = CropStaging(memory, host=True, wrap=list)
        self._params = [cv2.IMWRITE_JPEG_QUALITY, spec.quality]
        self._params += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]

    def encode(self, crops: Crops) -> list[bytes | None]:
        """A JPEG for each crop, byte for byte what the CPU path writes for the same pixels."""
        pictures = self._staging.load(crops)
        step = -(-len(pictures) // self._threads)
        parts = [pictures[start : start + step] for start in range(0, len(pictures), step)]
        return [code for part in self._pool.map(self._encode_part, parts) for code in part]

    def close(self) -> None:
        """Free the buffer."""
        del self._staging

    def _encode_part(self, pictures: Sequence[Any]) -> list[bytes | None]:
        return [self._encode_one(picture) for picture in pictures]

    def _encode_one(self, picture: Any) -> bytes | None:
        if picture.ndim == 3:
            picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        try:
            done, code = cv2.imencode(".jpg", picture, self._params)
        except cv2.error:
            return None
        return code.tobytes() if done else None


def _starts(lengths: list[int]) -> list[int]:
    return [0, *itertools.accumulate(lengths[:-1])]
