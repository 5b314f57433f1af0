"""What lies between graph, encoders and worker. Imports nothing of CUDA, so that tests can put fakes in there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from gpu_pack.geometry import Plan


class Crops(NamedTuple):
    """A finished batch.

    Attributes:
        tensors: DALI's TensorList, uint8, (height, width, channels), RGB or gray; on the GPU, or on the host in the CPU
            mode. Complete (nothing is still being computed) and valid until the graph's next run.
        sizes: (width, height) of each.
        channels: 3 or 1.
        suspects: places of the images whose last block came out mid-grey. A decoder that loses its way in damaged data
            mostly runs out of it before the end and says nothing, but leaves the rest at zero, which is that grey.
    """

    tensors: Any
    sizes: list[tuple[int, int]]
    channels: int
    suspects: list[int]


class Request(NamedTuple):
    """What is wanted of one file.

    Attributes:
        plan: its crop box and result.
        corner: (y, x) of the pixel to look at for `Crops.suspects`, in the upright picture.
    """

    data: bytes
    plan: Plan
    corner: tuple[int, int]


class Decoder(Protocol):
    """Encoded bytes to crops: `gpu_pack.gpu.graph.Graph`."""

    def accepts(self, data: bytes) -> bool:
        """Whether `run` may be given this file at all."""
        ...

    def run(self, batch: Sequence[Request]) -> Crops:
        """Decode, crop and resize a batch of files that it accepts.

        Raises:
            Exception: whatever the library raises; the decoder is then useless until `reset` or `rebuild`.
        """
        ...

    def reset(self) -> None:
        """After an exception: forget the failed batch, keep the memory. It may still not work: run tells."""
        ...

    def rebuild(self) -> None:
        """Start anew, with memory given back before."""
        ...

    def close(self) -> None:
        """Free what it holds on the device."""
        ...


class Encoder(Protocol):
    """Sequencer a batch of crops into files. Belongs to one worker and is called from one thread at a time.

    Attributes:
        name: ``nvjpeg``, ``cuda`` or ``cpu``.
    """

    name: str

    def encode(self, crops: Crops) -> list[bytes | None]:
        """A baseline JPEG for each crop, 4:2:0 unless gray; None for one that could not be encoded.

        The crops' memory is no longer needed when this returns.

        Raises:
            Exception: whatever the library raises about the batch or the device.
        """
        ...

    def close(self) -> None:
        """Free what it holds on the device."""
        ...
