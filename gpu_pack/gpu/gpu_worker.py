"""The worker of the GPU path: batches for graph and encoder, and recovery when a batch fails."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, NamedTuple

from gpu_pack.errors import BackendError
from gpu_pack.formats.image_headers import ImageError, check_complete, read_header
from gpu_pack.formats.image_headers.scan import check_scan
from gpu_pack.geometry import crop_resize
from gpu_pack.gpu.capabilities import decodable, last_pixel, normalize_exif
from gpu_pack.gpu.probe_images import device_check_request
from gpu_pack.gpu.protocols import DecodeRequest, Encoder, WorkerContext
from gpu_pack.types import MAX_EDGE, Codec, Encoded, Image, Outcome

if TYPE_CHECKING:
    from gpu_pack.gpu.graph import Graph

#: If a single image exceeds the device's memory: with fewer pixels the memory is full, with more the image is large.
_LARGE_PIXELS = 16_000_000
#: Messages of DALI, nvJPEG, nvImageCodec and CuPy about full device memory.
_OUT_OF_MEMORY = re.compile(
    "out of memory|memory ?allocation|can't allocate|cuda allocation|bad_alloc|allocator_fail", re.IGNORECASE
)


class _Job(NamedTuple):
    """An image for the device, at ``place`` among the images, with the pixels of picture and result together."""

    place: int
    image: Image
    request: DecodeRequest
    pixels: int


class GpuWorker:
    """A `gpu_pack.types.Worker` with one graph, one encoder and one stream, named ``gpu:0`` for example.

    Images that the device does not support or fails to decode go to the CPU codec, in the threads of ``pool``.

    Args:
        context: its threads, like ``graph`` and ``encoder``, are closed with the worker.
        codec: the CPU codec for the same spec; called from several threads at once.

    Attributes:
        encoder: the encoder's name, for the manifest.
        failures: the device's errors about batches, and how often each occurred.

    Raises:
        BackendError: the device fails with a valid test image.
    """

    def __init__(self, context: WorkerContext, codec: Codec, graph: Graph, encoder: Encoder) -> None:
        self.name, self.batch_size, self.encoder = f"gpu:{context.gpu}", context.settings.batch_size, encoder.name
        self.failures: Counter[str] = Counter()
        self._spec, self._settings, _, self._memory, self._pool = context
        self._codec, self._graph, self._encoder = codec, graph, encoder
        self._batch_pixels, self._closed = self._settings.batch_pixels, False
        self._check_request = device_check_request(self._spec)
        try:
            self._memory.activate()
            # An encoder may refuse every result of this spec (one pixel, for example): the codec then encodes them.
            self._always_refuses = self._encodes_none()
        except Exception as error:
            self.close()
            reason = summarize(error)
            raise BackendError(f"{self.name}: the device fails with a valid test image: {reason}") from error

    def transform(self, images: Sequence[Image]) -> list[Outcome]:
        """See `Worker.transform`.

        Raises:
            BackendError: the device fails with a valid test image, or has no memory for a single image.
        """
        self._memory.activate()
        outcomes: dict[int, Outcome | Future[Outcome]] = {}
        jobs = []
        for place, image in enumerate(images):
            if job := self._job(place, image):
                jobs.append(job)
            else:
                outcomes[place] = self._on_cpu(image)
        for batch in self._batches(jobs):
            outcomes.update(zip([job.place for job in batch], self._run_or_split(batch), strict=True))
        ordered = (outcomes[place] for place in range(len(images)))
        return [outcome.result() if isinstance(outcome, Future) else outcome for outcome in ordered]

    def close(self) -> None:
        """Free graph, encoder and threads. May be called again."""
        if self._closed:
            return
        self._closed = True
        self._pool.shutdown()
        self._memory.activate()
        self._encoder.close()
        self._graph.close()

    def _job(self, place: int, image: Image) -> _Job | None:
        """None if the file is damaged, too large, or not supported by the device."""
        data = image.data
        try:
            header = read_header(data)
            if not decodable(data, header):
                return None
            check_complete(data, header)
            # Decoders resynchronise at restart markers, so the last pixel tells nothing about damage before one.
            if self._settings.check_scans or header.restarts:
                check_scan(data, header)
        except ImageError:
            return None
        data = normalize_exif(data, header)
        if not self._graph.accepts(data):
            return None
        width, height = header.upright_size
        geometry = crop_resize(width, height, self._spec)
        result = geometry.width * geometry.height
        if max(width * height, result) > self._spec.max_pixels or max(geometry.width, geometry.height) > MAX_EDGE:
            return None
        return _Job(place, image, DecodeRequest(data, geometry, last_pixel(header)), width * height + result)

    def _on_cpu(self, image: Image) -> Future[Outcome]:
        return self._pool.submit(self._codec, image)

    def _batches(self, jobs: list[_Job]) -> Iterator[list[_Job]]:
        """The jobs in batches of at most ``_batch_pixels``, which may shrink meanwhile, or of one job."""
        batch: list[_Job] = []
        pixels = 0
        for job in jobs:
            if batch and pixels + job.pixels > self._batch_pixels:
                yield batch
                batch, pixels = [], 0
            batch.append(job)
            pixels += job.pixels
        if batch:
            yield batch

    def _run_or_split(self, batch: list[_Job]) -> list[Outcome | Future[Outcome]]:
        """Run the batch on the device; if it fails, its halves, down to the image that causes the failure."""
        try:
            return self._run(batch)
        except Exception as error:
            failure = error.with_traceback(None)  # whose frames reference the batch's memory
        self.failures[summarize(failure)] += 1
        if isinstance(failure, MemoryError) or _OUT_OF_MEMORY.search(str(failure)):
            self._shrink_batches(batch, failure)
        else:
            self._recover(failure)
        if len(batch) == 1:
            return [self._on_cpu(batch[0].image)]
        middle = len(batch) // 2
        return self._run_or_split(batch[:middle]) + self._run_or_split(batch[middle:])

    def _run(self, batch: list[_Job]) -> list[Outcome | Future[Outcome]]:
        crops = self._graph.run([job.request for job in batch])
        files = self._encoder.encode(crops)
        for index in crops.maybe_truncated:
            files[index] = None
        return [
            Encoded(job.image.entry, file, *size, "gpu") if file is not None else self._on_cpu(job.image)
            for job, file, size in zip(batch, files, crops.sizes, strict=True)
        ]

    def _shrink_batches(self, batch: list[_Job], error: Exception) -> None:
        """Rebuild the graph, and halve the batches; `BackendError` if a single image of ordinary size is too large."""
        pixels = sum(job.pixels for job in batch)
        self._batch_pixels = min(self._batch_pixels, max(1, pixels // 2))
        if len(batch) == 1 and pixels < _LARGE_PIXELS:
            raise BackendError(
                f"{self.name}: the GPU's memory is full, even for a single image: {summarize(error)}; "
                "free memory on it, or use a smaller --batch-size"
            ) from error
        self._rebuild(error)

    def _recover(self, error: Exception) -> None:
        """Reset the graph; rebuild it if a valid test image still fails, which takes half a second and memory.

        Errors do not tell whether an image or the device caused them. `BackendError` if the rebuild does not help.
        """
        try:
            self._graph.reset()
            self._check_device()
        except Exception:
            self._rebuild(error)

    def _rebuild(self, error: Exception) -> None:
        try:
            self._graph.rebuild()
            self._check_device()
        except Exception as second:
            reasons = f"{summarize(error)}; then {summarize(second)}"
            raise BackendError(f"{self.name}: the device broke: {reasons}") from error

    def _check_device(self) -> None:
        if self._encodes_none() and not self._always_refuses:
            raise RuntimeError(f"the {self.encoder} encoder refuses a test image")

    def _encodes_none(self) -> bool:
        return self._encoder.encode(self._graph.run([self._check_request])) == [None]


def summarize(error: BaseException) -> str:
    """The cause in a library's message: DALI puts it after ``encountered:``, between paths and line numbers."""
    text = str(error).split("encountered:")[-1]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    causes = [line for line in lines if not line.startswith(("Critical error", "Current pipeline"))]
    cause = (causes or lines or [type(error).__name__])[0][:200]
    return re.sub(r"sample #\d+ ?:?", "an image:", cause).rstrip(": ")  # the number in the batch tells nothing
