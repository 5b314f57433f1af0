"""Compares the files of `gpu_pack.gpu.cuda_encoder` with OpenCV's, on the device at hand, before they are used."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gpu_pack.gpu.jpeg_tables import opencv_options
from gpu_pack.gpu.memory import Memory
from gpu_pack.gpu.protocols import Crops, Encoder, WorkerContext

#: Enough for launches that fill a GPU, and 0.1 s of a core at 224 x 224.
_PICTURES = 64
Pixels = npt.NDArray[np.uint8]


class _Uploaded:
    """A batch on the device, as DALI hands it out."""

    def __init__(self, pictures: Pixels, memory: Memory) -> None:
        self._buffer = memory.allocate(pictures.size, False)
        host = memory.allocate(pictures.size, True)
        host.array[:] = pictures.ravel()
        memory.copy(self._buffer.address, host.address, pictures.size)
        memory.wait()

    def is_dense_tensor(self) -> bool:
        return True

    def as_tensor(self) -> _Uploaded:
        return self

    def data_ptr(self) -> int:
        return self._buffer.address


def check_files(encoder: Encoder, context: WorkerContext) -> None:
    """Have the encoder encode known pictures of the run's size and quality, in batches of different lengths.

    Args:
        context: its spec is one that `gpu_pack.gpu.cuda_encoder.can_encode`.

    Raises:
        RuntimeError: a file is not OpenCV's, byte for byte.
        Exception: the encoder fails.
    """
    spec, batch_size = context.spec, context.settings.batch_size
    assert spec.size
    pictures = known_pictures(spec.size, min(_PICTURES, batch_size))
    expected = list(context.pool.map(partial(_encode, quality=spec.quality), pictures))
    starts = range(0, len(pictures), batch_size)
    batches = [(pictures[start : start + batch_size], expected[start : start + batch_size]) for start in starts]
    # Shorter, and in another order: nothing of the batches before it may be left.
    short = (len(batches[0][0]) + 1) // 2
    batches.append((pictures[::-1][:short], expected[::-1][:short]))
    wrong = sum(_differing(encoder, context.memory, *batch) for batch in batches)
    if wrong:
        count = sum(len(files) for _, files in batches)
        size = f"{spec.size} x {spec.size}, quality {spec.quality}"
        raise RuntimeError(f"{wrong} of {count} known pictures ({size}) do not become OpenCV's bytes")


def known_pictures(edge: int, count: int) -> Pixels:
    """RGB pictures, uint8 (``count`` or a few more, edge, edge, 3): as many of each kind, all different.

    The kinds make the longest codes, the greatest differences, runs of every length, and gray in all colours.
    """
    kinds = _kinds(edge, 0)
    turns = range(1, -(-count // len(kinds)))
    return np.stack([*kinds, *(picture for turn in turns for picture in _kinds(edge, turn))])


def _kinds(edge: int, turn: int) -> list[Pixels]:
    noise = np.random.default_rng(turn).integers(0, 256, (edge, edge, 3), np.uint8)
    y, x = np.indices((edge, edge))
    ramp = np.stack([x, y, x + y], 2) * (255 - turn) // (2 * edge)
    pictures = [
        noise,
        np.where(noise > 127, 255, 0),
        128 + (noise >> (1 + turn % 7)),  # the fainter, the longer the runs
        np.full_like(noise, 255 - turn),
        255 - turn - ramp,
        np.repeat(ramp[..., 2:] // 2 + noise[..., :1] // 8, 3, 2),
        np.repeat((x + y)[..., None] % 2 * (255 - turn), 3, 2),
    ]
    return [picture.astype(np.uint8) for picture in pictures]


def _encode(picture: Pixels, quality: int) -> bytes:
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), opencv_options(quality))[1].tobytes()


def _differing(encoder: Encoder, memory: Memory, pictures: Pixels, expected: Sequence[bytes]) -> int:
    """How many files are not the expected ones."""
    uploaded: Any = _Uploaded(pictures, memory)
    edge = pictures.shape[1]
    files = encoder.encode(Crops(uploaded, [(edge, edge)] * len(pictures), 3, []))
    return sum(file != wanted for file, wanted in zip(files, expected, strict=True))
