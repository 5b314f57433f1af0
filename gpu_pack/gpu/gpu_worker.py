"""The worker of the GPU path: batches for graph and encoder, and recovery when a batch fails."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from gpu_pack.errors import BackendError
from gpu_pack.formats.image_headers import Header, ImageError, check_complete, read_header
from gpu_pack.formats.image_headers.scan import check_scan
from gpu_pack.geometry import crop_resize
from gpu_pack.gpu.capabilities import decodable, last_pixel, normalize_exif
from gpu_pack.gpu.corners import corner
from gpu_pack.gpu.engine_check import EngineCheck
from gpu_pack.gpu.memory import is_full
from gpu_pack.gpu.probe_images import device_check_request
from gpu_pack.gpu.protocols import Crops, Decoder, DecodeRequest, Encoder, WorkerContext
from gpu_pack.gpu.route import on_engines
from gpu_pack.types import MAX_EDGE, Codec, Encoded, Image, Outcome

#: If a single image exceeds the device's memory: with fewer pixels the memory is full, with more the image is large.
_LARGE_PIXELS = 16_000_000
_MEMORY_FULL = "the GPU's memory was full, so later batches are smaller"


class _Job(NamedTuple):
    """An image for the device; ``source`` is the upright picture's width and height.

    ``pixels`` is the number in picture and result together.
    """

    image: Image
    request: DecodeRequest
    header: Header
    source: tuple[int, int]
    pixels: int


class GpuWorker:
    """A `gpu_pack.types.Worker` with one decoder, one encoder and one stream, named ``gpu:0`` for example.

    Images that the device does not support or fails to decode go to the CPU codec, in the threads of ``pool``.

    Args:
        context: its threads, like ``graph`` and ``encoder``, are closed with the worker.
        codec: the CPU codec for the same spec; called from several threads at once.

    Attributes:
        encoder: the encoder's name, for the manifest.
        failures: what went wrong on the device, and how often: errors about batches, pictures with wrong pixels.

    Raises:
        BackendError: the device fails with a valid test image.
    """

    def __init__(self, context: WorkerContext, codec: Codec, graph: Decoder, encoder: Encoder) -> None:
        self.name, self.batch_size, self.encoder = f"gpu:{context.gpu}", context.settings.batch_size, encoder.name
        self.failures: Counter[str] = Counter()
        self._spec, self._settings, _, self._memory, self._pool = context
        self._codec, self._graph, self._encoder = codec, graph, encoder
        self._batch_pixels, self._closed = self._settings.batch_pixels, False
        self._check = EngineCheck(self._spec.color == "gray", self.failures) if self._settings.check_corners else None
        request = device_check_request(self._spec)
        self._check_requests = [request, request._replace(on_engines=False)][: self._settings.graphs]
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
        examined = [self._job(image) or self._on_cpu(image) for image in images]
        batches = self._batches([one for one in examined if isinstance(one, _Job)])
        made = (outcome for batch in batches for outcome in self._run_or_split(batch, set()))
        outcomes = [next(made) if isinstance(one, _Job) else one for one in examined]
        return [outcome.result() if isinstance(outcome, Future) else outcome for outcome in outcomes]

    def close(self) -> None:
        """Free graph, encoder and threads. May be called again."""
        if self._closed:
            return
        self._closed = True
        self._pool.shutdown()
        self._memory.activate()
        self._encoder.close()
        self._graph.close()

    def _job(self, image: Image) -> _Job | None:
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
        source = width, height = header.upright_size
        geometry = crop_resize(width, height, self._spec)
        result = geometry.width * geometry.height
        if max(width * height, result) > self._spec.max_pixels or max(geometry.width, geometry.height) > MAX_EDGE:
            return None
        by_engines = on_engines(image.entry.key, self._settings.hw_decoder_load)
        request = DecodeRequest(data, geometry, last_pixel(header), corner(header), by_engines)
        return _Job(image, request, header, source, width * height + result)

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

    def _run_or_split(self, batch: list[_Job], reasons: set[str]) -> list[Outcome | Future[Outcome]]:
        """Run the batch on the device; if it fails, its halves, down to the image that causes the failure.

        Each reason counts once for the whole batch: ``reasons`` holds those that were counted.
        """
        try:
            return self._run(batch)
        except Exception as error:
            failure = error.with_traceback(None)  # whose frames reference the batch's memory
        full = is_full(failure)
        if (reason := _MEMORY_FULL if full else summarize(failure)) not in reasons:
            reasons.add(reason)
            self.failures[reason] += 1
        if full:
            self._shrink_batches(batch, failure)
        else:
            self._recover(failure)
        if len(batch) == 1:
            return [self._on_cpu(batch[0].image)]
        middle = len(batch) // 2
        return self._run_or_split(batch[:middle], reasons) + self._run_or_split(batch[middle:], reasons)

    def _run(self, batch: list[_Job]) -> list[Outcome | Future[Outcome]]:
        crops, refused = self._decode(batch)
        files = self._encoder.encode(crops)
        for index in refused:
            files[index] = None
        return [
            Encoded(job.image.entry, file, *size, "gpu", source=job.source)
            if file is not None
            else self._on_cpu(job.image)
            for job, file, size in zip(batch, files, crops.sizes, strict=True)
        ]

    def _decode(self, batch: list[_Job]) -> tuple[Crops, list[int]]:
        """The crops, and which of them the CPU codec must make; without the engines once these were often wrong."""
        requests = [job.request for job in batch]
        check, places = self._check, [place for place, request in enumerate(requests) if request.on_engines]
        if check is None or not places:
            crops = self._graph.run(requests)
            return crops, crops.maybe_truncated
        expected = self._pool.submit(check.decode, [(batch[place].image.data, batch[place].header) for place in places])
        crops = self._graph.run(requests)
        assert crops.corners is not None
        refused = check.examine(crops.corners, expected.result())
        if not check.failing:
            return crops, crops.maybe_truncated + [places[number] for number in refused]
        self.failures[f"{self.name}: its JPEG engines are not used any more, {check.verdict}"] += 1
        self._check = None
        del crops  # references the batch's memory
        self._graph.rebuild_without_engines()
        return self._decode(batch)

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
        files = [self._encoder.encode(self._graph.run([request])) for request in self._check_requests]
        return all(file == [None] for file in files)


def summarize(error: BaseException) -> str:
    """The cause in a library's message: DALI puts it after ``encountered:``, between paths and line numbers."""
    text = str(error).split("encountered:")[-1]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    causes = [line for line in lines if not line.startswith(("Critical error", "Current pipeline"))]
    cause = (causes or lines or [type(error).__name__])[0][:200]
    return re.sub(r"sample #\d+ ?:?", "an image:", cause).rstrip(": ")  # the number in the batch tells nothing
