"""What graph, encoders and worker exchange. Imports nothing of CUDA, so that tests can pass fakes."""

from __future__ import annotations

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
            the CPU mode. Complete, and valid until the graph's next run.
        sizes: (width, height) of each.
        channels: 3 or 1.
        maybe_truncated: indices of images whose last pixel is mid-grey. Damaged data mostly makes a decoder run out
            of data before the end; it reports nothing and leaves the remaining coefficients at zero, which is mid-grey.
        corners: uint8 (images, 16, 16, channels) on the host, the squares at `DecodeRequest.corner`; None unless
            ``settings.check_corners``.
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
    """

    data: bytes
    geometry: CropResize
    last_pixel: tuple[int, int]
    corner: tuple[int, int] = (0, 0)


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
