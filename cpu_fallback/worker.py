"""The CPU backend's worker: one thread's images through `cpu_fallback.codec`, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2

from cpu_fallback.allocator import keep_freed_memory
from cpu_fallback.codec import TransformJob, execute, prepare, transform
from gpu_pack.errors import BackendError
from gpu_pack.formats.image_headers import ImageError
from gpu_pack.types import Codec, Encoded, Image, Outcome, Rejected, TransformSpec

_SILENT = 0


def make_codec(spec: TransformSpec) -> Codec:
    """The function from an `Image` to its `Outcome` that ``spec`` asks for; safe to call from many threads.

    Calls `settle_process`.
    """
    settle_process()

    def codec(image: Image) -> Outcome:
        try:
            return Encoded(image.entry, *transform(image.data, spec), "cpu")
        except ImageError as error:
            return Rejected(image.entry, error.stage, error.reason)

    return codec


def settle_process() -> None:
    """Turn off OpenCV's own threads and its log and keep the pictures' memory, for the whole process.

    One image at a time in each of our threads is faster; what the log would say of a bad image is its reason already.
    libjpeg, libpng and libtiff write some warnings to standard error past OpenCV: see `gpu_pack.formats.native_stderr`.
    """
    cv2.setNumThreads(1)
    log: Any = getattr(cv2.utils, "logging", cv2)  # OpenCV 4.10 has setLogLevel at the top
    log.setLogLevel(_SILENT)
    keep_freed_memory()


class CpuWorker:
    """A `gpu_pack.types.Worker` on OpenCV. Start one for each core, each in a thread of its own.

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
        settle_process()
        self.name = name
        self.batch_size = batch_size
        self._spec = spec

    def transform(self, images: Sequence[Image]) -> list[Outcome]:
        """The outcomes of ``images``: same length, same order; a bad image is a `Rejected`.

        All are examined before the first is decoded: decoding empties the processor's caches of the interpreter, and
        the same Python takes five times as long right after it.
        """
        jobs = [self._prepare(image) for image in images]
        return [
            job if isinstance(job, Rejected) else self._execute(image, job)
            for image, job in zip(images, jobs, strict=True)
        ]

    def _prepare(self, image: Image) -> TransformJob | Rejected:
        try:
            return prepare(image.data, self._spec)
        except ImageError as error:
            return Rejected(image.entry, error.stage, error.reason)

    def _execute(self, image: Image, job: TransformJob) -> Outcome:
        try:
            return Encoded(image.entry, *execute(image.data, job, self._spec), "cpu")
        except ImageError as error:
            return Rejected(image.entry, error.stage, error.reason)

    def close(self) -> None:
        """Nothing is held."""
