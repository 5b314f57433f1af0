"""What graph, encoders and worker exchange. Imports nothing of CUDA, so that tests can pass fakes."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from gpu_pack.geometry import CropResize
from gpu_pack.gpu.memory import Memory
from gpu_pack.gpu.settings import GpuSettings
from gpu_pack.types import EncoderName, TransformSpec


class WorkerContext(NamedTuple):
    """What graph, encoder and worker have in common.

    Attributes:
        gpu: the CUDA device's number; only a name in the CPU mode.
        pool: threads for encoding and the CPU codec, as many as ``settings.threads``.
    """

    spec: TransformSpec
    settings: GpuSettings
    gpu: int
    memory: Memory
    pool: ThreadPoolExecutor


class Crops(NamedTuple):
    """A decoded, cropped and resized batch.

    Attributes:
        tensors: DALI's TensorList, uint8, (height, width, channels), RGB or gray; on the device, or on the host in
            the CPU mode. Complete, and valid until the decoder's next run.
        sizes: (width, height) of each.
        channels: 3 or 1.
        maybe_truncated: indices of images whose last pixel is mid-grey. Damaged data mostly makes a decoder run out
            of data before the end; it reports nothing and leaves the remaining coefficients at zero, which is mid-grey.
        corners: uint8 (images, 16, 16, channels) on the host, the squares at `DecodeRequest.corner` of the images that
            are for the engines, in their order; None without such images, and unless ``settings.check_corners``.
    """

    tensors: Any
    sizes: list[tuple[int, int]]
    channels: int
    maybe_truncated: list[int]
    corners: npt.NDArray[np.uint8] | None = None

    def byte_counts(self) -> list[int]:
        """The size of each crop in bytes."""
        return [width * height * self.channels for width, height in self.sizes]


class DecodeRequest(NamedTuple):
    """A file to decode.

    Attributes:
        data: the file.
        geometry: the box to cut out and the size of the result.
        last_pixel: (y, x) in the upright picture of the pixel to inspect for `Crops.maybe_truncated`.
        corner: (y, x) there of the square for `Crops.corners`; it may go beyond the picture.
        on_engines: whether it is for the JPEG engines, where there are any; see `gpu_pack.gpu.route`.
    """

    data: bytes
    geometry: CropResize
    last_pixel: tuple[int, int]
    corner: tuple[int, int] = (0, 0)
    on_engines: bool = True


class Decoder(Protocol):
    """Decodes, crops and resizes batches; used by one worker, from one thread at a time."""

    def accepts(self, data: bytes) -> bool:
        """Whether `run` may be given the file."""

    def run(self, batch: Sequence[DecodeRequest]) -> Crops:
        """Decode, crop and resize a batch of accepted files.

        Raises:
            Exception: DALI's own; the decoder must then be reset or rebuilt before its next run.
        """

    def reset(self) -> None:
        """Discard a failed batch and keep the memory. The decoder may still not work after it.

        Raises:
            Exception: CuPy's: the device is broken.
        """

    def rebuild(self) -> None:
        """Free the memory and start anew."""

    def rebuild_without_engines(self) -> None:
        """`rebuild`; from then on CUDA decodes everything, unchecked."""

    def close(self) -> None:
        """Free what it holds on the device."""


class Encoder(Protocol):
    """Encodes a batch of crops; used by one worker, from one thread at a time."""

    name: EncoderName

    def encode(self, crops: Crops) -> list[bytes | None]:
        """A baseline JPEG for each crop, 4:2:0 unless gray; None for one that could not be encoded.

        The crops' memory may be reused when this returns.

        Raises:
            Exception: the library's own, about the batch or the device.
        """

    def close(self) -> None:
        """Free what it holds on the device."""
