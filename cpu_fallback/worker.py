"""The CPU backend's worker: images through `cpu_fallback.codec`, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

from cpu_fallback.codec import transform
from cpu_fallback.opencv import configure_opencv
from gpu_pack.errors import BackendError
from gpu_pack.formats.image_headers import ImageError
from gpu_pack.types import Codec, Encoded, Image, Outcome, Rejected, TransformSpec


def make_codec(spec: TransformSpec) -> Codec:
    """The function from an `Image` to its `Outcome` under ``spec``; safe to call from many threads.

    Calls `configure_opencv`.
    """
    configure_opencv()

    def codec(image: Image) -> Outcome:
        try:
            data, width, height, notices, source = transform(image.data, spec)
            return Encoded(image.entry, data, width, height, "cpu", notices, source)
        except ImageError as error:
            return Rejected(image.entry, error.stage, error.reason, error.code)

    return codec


class CpuWorker:
    """A `gpu_pack.types.Worker` on the CPU. Start one for each core, each in a thread of its own.

    Attributes:
        name: for messages and reports.
        batch_size: how many images it takes at once; a few keep the queue's cost small and the load even.

    Raises:
        BackendError: ``spec`` passes files through.
    """

    def __init__(self, spec: TransformSpec, name: str = "cpu", batch_size: int = 8) -> None:
        if spec.pass_through:
            raise BackendError(
                "--pass-through decodes nothing: gpu_pack.pipeline.pass_through does it, without a worker"
            )
        self.name = name
        self.batch_size = batch_size
        self._codec = make_codec(spec)

    def transform(self, images: Sequence[Image]) -> list[Outcome]:
        """The outcomes of ``images``: same length, same order; a bad image is a `Rejected`."""
        return [self._codec(image) for image in images]

    def close(self) -> None:
        """Nothing to free."""
