"""Encoders of crops: nvImageCodec on the device, OpenCV in CPU threads."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
from nvidia import nvimgcodec

from gpu_pack.gpu.jpeg_tables import opencv_options
from gpu_pack.gpu.memory import Buffer, Memory
from gpu_pack.gpu.protocols import Crops, WorkerContext
from gpu_pack.types import EncoderName, available_cores


class CropBuffer:
    """A buffer that batches are copied into, so that DALI may reuse its own memory.

    Crops of the same sizes get the same places, so what an encoder needs of each is made once.

    Args:
        host: whether the buffer is on the host.
        wrap: makes what the encoder takes of the copies, uint8 arrays of (height, width, 3) or (height, width).
    """

    def __init__(self, memory: Memory, host: bool, wrap: Callable[[list[Any]], list[Any]]) -> None:
        self._memory, self._host, self._wrap = memory, host, wrap
        self._buffer: Buffer | None = None
        self._sizes: list[tuple[int, int]] = []
        self._wrapped: list[Any] = []

    def load(self, crops: Crops) -> list[Any]:
        """The crops, copied and wrapped. The copies are complete, so any stream may read them."""
        self._memory.copy_crops(crops, self._allocate(crops).address)
        self._memory.wait()
        return self._wrapped[: len(crops.sizes)]

    def _allocate(self, crops: Crops) -> Buffer:
        if self._buffer is not None and crops.sizes == self._sizes[: len(crops.sizes)]:
            return self._buffer
        self._wrapped, self._sizes = [], []  # they reference the buffer
        ends = list(itertools.accumulate(crops.byte_counts()))
        if self._buffer is None or self._buffer.array.size < ends[-1]:
            self._buffer = None  # freed before the next one is allocated
            self._buffer = self._memory.allocate(ends[-1], self._host)
        pixels = self._buffer.array
        places = zip([0, *ends], ends, crops.sizes, strict=False)
        depth = (crops.channels,) if crops.channels > 1 else ()
        arrays = [pixels[start:end].reshape(height, width, *depth) for start, end, (width, height) in places]
        self._wrapped, self._sizes = self._wrap(arrays), crops.sizes
        return self._buffer


class NvJpegEncoder:
    """nvImageCodec: nvJPEG on the device, libjpeg-turbo in the CPU mode.

    Each of its threads encodes one image at a time, on a stream that first waits for the image's stream.
    """

    name: EncoderName = "nvjpeg"

    def __init__(self, context: WorkerContext) -> None:
        spec, settings, gpu, memory, _ = context
        self._pinned, self._stream = settings.device == "gpu", memory.stream
        self._encoder = nvimgcodec.Encoder(
            device_id=gpu if self._pinned else nvimgcodec.NVIMGCODEC_DEVICE_CPU_ONLY,
            # It uses at most cores - 1, and prints a warning to standard output if it is given more.
            max_num_cpu_threads=min(settings.threads_per_worker(1), max(1, available_cores() - 1)),
            backends=None if self._pinned else [nvimgcodec.Backend(nvimgcodec.BackendKind.CPU_ONLY)],
        )
        gray, formats, sampling = spec.color == "gray", nvimgcodec.SampleFormat, nvimgcodec.ChromaSubsampling
        self._params = nvimgcodec.EncodeParams(
            quality_type=nvimgcodec.QualityType.QUALITY,
            quality_value=spec.quality,
            chroma_subsampling=sampling.CSS_GRAY if gray else sampling.CSS_420,
            jpeg_encode_params=nvimgcodec.JpegEncodeParams(progressive=False, optimized_huffman=False),
        )
        wrap = partial(nvimgcodec.as_images, sample_format=formats.P_Y if gray else formats.I_RGB)
        self._buffer = CropBuffer(memory, host=False, wrap=partial(wrap, cuda_stream=memory.stream))
        self._outputs: list[Any] = []

    def encode(self, crops: Crops) -> list[bytes | None]:
        images = self._buffer.load(crops)
        # Output buffers are reused: allocating a pinned one takes longer than encoding an image.
        for _ in range(len(images) - len(self._outputs)):
            self._outputs.append(nvimgcodec.CodeStream(pre_allocated_size=1 << 16, pin_memory=self._pinned))
        outputs = self._outputs[: len(images)]
        files = self._encoder.encode(
            images, "jpeg", code_stream_s=outputs, params=self._params, cuda_stream=self._stream
        )
        return [None if file is None else bytes(file) for file in files]

    def close(self) -> None:
        del self._encoder, self._buffer, self._outputs


class CpuEncoder:
    """OpenCV on the host: one copy brings a batch to the host, and the threads of ``pool`` encode it.

    OpenCV's own threads would slow these down. They are off: the CPU codec, which every worker is made with, turned
    them off for the process (`cpu_fallback.worker.make_codec`). The bytes are the CPU backend's for the same pixels.
    """

    name: EncoderName = "cpu"

    def __init__(self, context: WorkerContext) -> None:
        self._pool, self._threads = context.pool, context.settings.threads_per_worker(1)
        self._buffer = CropBuffer(context.memory, host=True, wrap=list)
        self._options = opencv_options(context.spec.quality)

    def encode(self, crops: Crops) -> list[bytes | None]:
        pictures = self._buffer.load(crops)
        step = -(-len(pictures) // self._threads)
        parts = [pictures[start : start + step] for start in range(0, len(pictures), step)]
        files = self._pool.map(lambda part: [self._encode_one(picture) for picture in part], parts)
        return list(itertools.chain.from_iterable(files))

    def close(self) -> None:
        del self._buffer

    def _encode_one(self, picture: Any) -> bytes | None:
        pixels = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture
        with contextlib.suppress(cv2.error):
            done, file = cv2.imencode(".jpg", pixels, self._options)
            return file.tobytes() if done else None
        return None
