"""The CPU backend's worker: one thread's images through `cpu_fallback.codec`, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import cv2

from cpu_fallback.codec import transform
from gpu_pack.headers import ImageError
from gpu_pack.interface import Codec, Encoded, Image, Outcome, Rejected, TransformSpec


def make_codec(spec: TransformSpec, name: str = "cpu") -> Codec:
    """The function from an `Image` to its `Outcome` that ``spec`` asks for; safe to call from many threads.

    Args:
        name: what `Encoded.backend` says, unless images are passed through.

    OpenCV's own threads are turned off for the whole process: one image at a time in each of ours is faster.
    """
    cv2.setNumThreads(1)
    backend = "pass-through" if spec.pass_through else name

    def codec(image: Image) -> Outcome:
        try:
            return Encoded(image.entry, *transform(image.data, spec), backend)
        except ImageError as error:
            return Rejected(image.entry, error.stage, error.reason)

    return codec


class CpuWorker:
    """A `gpu_pack.interface.Worker` on OpenCV. Start one for each core, each in a thread of its own.

    Attributes:
        name: for messages and reports.
        batch_size: how many images it takes at once; a few keep the queue's cost small and the load even.
    """

    def __init__(self, spec: TransformSpec, name: str = "cpu", batch_size: int = 8) -> None:
        self.name = name
        self.batch_size = batch_size
        self._codec = make_codec(spec)

    def transform(self, images: Sequence[Image]) -> list[Outcome]:
        """The outcomes of ``images``: same length, same order; a bad image is a `Rejected`."""
        return [self._codec(image) for image in images]

    def close(self) -> None:
        """Nothing is held."""
