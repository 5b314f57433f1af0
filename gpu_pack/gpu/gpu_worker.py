"""The Worker over graph and encoder: what they can do in one batch, and what happens when a batch fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from gpu_pack.errors import BackendError
from gpu_pack.formats.image_headers import ImageError, check_complete, read_header
from gpu_pack.formats.image_headers.scan import check_scan
from gpu_pack.geometry import plan
from gpu_pack.gpu.capabilities import decodable, last_corner, with_plain_exif
from gpu_pack.gpu.memory import Memory
from gpu_pack.gpu.probe_images import known_good
from gpu_pack.gpu.protocols import Decoder, Encoder, Request
from gpu_pack.gpu.settings import GpuSettings
from gpu_pack.types import MAX_EDGE, Codec, Encoded, Image, Outcome, TransformSpec

#: Where a single picture finds no room on the device, this many pixels tell a large picture from a full device.
_LARGE = 16_000_000
#: How DALI, nvJPEG, nvImageCodec and CuPy say that the device's memory is full, in lower case.
_OUT_OF_MEMORY = (
    "out of memory",
    "memory allocation",
    "memoryallocation",
    "can't allocate",
    "cuda allocation",
    "bad_alloc",
    "allocator_fail",
)


class DecodeRequest(NamedTuple):
    """An image that the device may try.

    Attributes:
        place: among the outcomes.
        pixels: of the picture and of the result together, what it needs of the device's memory.
    """

    place: int
    image: Image
    request: Request
    pixels: int


class GpuWorker:
    """One pipeline, one encoder, one stream. Several on one GPU keep it busy.

    Whatever the device cannot or will not decode goes to the CPU codec, which packs it or says why not. It does so in
    threads of its own, while the device works on the others.

    Args:
        name: for messages, e.g. ``gpu:0``.
        codec: the CPU codec for the same spec; called from several threads at once.
        pool: these threads; the worker shuts them down when it is closed, as it does with graph and encoder.

    Attributes:
        encoder: which encoder runs, ``nvjpeg``, ``cuda`` or ``cpu``: for the manifest.
        failures: what the device said of batches that failed, and how often.

    Raises:
        BackendError: the device fails with a picture that is known to be good.
    """

    def __init__(
        self,
        name: str,
        spec: TransformSpec,
        settings: GpuSettings,
        codec: Codec,
        memory: Memory,
        graph: Decoder,
        encoder: Encoder,
        pool: ThreadPoolExecutor,
    ) -> None:
        self.name, self.batch_size, self.encoder = name, settings.batch_size, encoder.name
        self._spec, self._codec, self._pool = spec, codec, pool
        self._memory, self._graph, self._encoder = memory, graph, encoder
        self._batch_pixels = settings.batch_pixels
        self._check_scans = settings.check_scans
        self._closed = False
        self._known_good = known_good(spec)
        self.failures: Counter[str] = Counter()
        try:
            self._memory.activate()
            # An encoder may refuse what this spec makes of every picture (one pixel, say): the codec then packs it.
            self._refuses = self._try_device() == [None]
        except Exception as error:
            self.close()
            raise BackendError(f"{name}: not even a small test picture gets through it: {brief(error)}") from error

    def transform(self, images: Sequence[Image]) -> list[Outcome]:
        """The outcomes of 1 to ``batch_size`` images: same length, same order.

        Raises:
            BackendError: the device fails with a picture that is known to be good, or has no memory for a single one.
        """
        self._memory.activate()
        outcomes: dict[int, Outcome | Future[Outcome]] = {}
        jobs = []
        for place, image in enumerate(images):
            job = self._admit(place, image)
            if job is not None:
                jobs.append(job)
            else:
                outcomes[place] = self._verdict(image)
        for batch in self._batches(jobs):
            outcomes.update(zip([job.place for job in batch], self._attempt(batch), strict=True))
        ready = (outcomes[place] for place in range(len(images)))
        return [outcome.result() if isinstance(outcome, Future) else outcome for outcome in ready]

    def close(self) -> None:
        """Free pipeline, encoder and threads. May be called again."""
        if self._closed:
            return
        self._closed = True
        self._pool.shutdown()
        self._memory.activate()
        self._encoder.close()
        self._graph.close()

    def _admit(self, place: int, image: Image) -> DecodeRequest | None:
        """A job for the device, unless the file's structure already tells that it is one for the codec."""
        data = image.data
        try:
            header = read_header(data)
            if not decodable(data, header):
                return None
            check_complete(data, header)
            # After a restart marker the decoder finds its feet again, and its last block tells nothing.
            if self._check_scans or header.restarts:
                check_scan(data, header)
        except ImageError:
            return None
        data = with_plain_exif(data, header)
        if not self._graph.accepts(data):
            return None
        width, height = header.upright_size
        where = plan(width, height, self._spec)
        result = where.width * where.height
        if max(width * height, result) > self._spec.max_pixels or max(where.width, where.height) > MAX_EDGE:
            return None
        return DecodeRequest(place, image, Request(data, where, last_corner(header)), width * height + result)

    def _verdict(self, image: Image) -> Future[Outcome]:
        return self._pool.submit(self._codec, image)

    def _batches(self, jobs: list[DecodeRequest]) -> Iterator[list[DecodeRequest]]:
        """The jobs in batches that stay within a batch's pixels, which shrink where the device runs out of memory."""
        batch: list[DecodeRequest] = []
        pixels = 0
        for job in jobs:
            if batch and pixels + job.pixels > self._batch_pixels:
                yield batch
                batch, pixels = [], 0
            batch.append(job)
            pixels += job.pixels
        if batch:
            yield batch

    def _attempt(self, batch: list[DecodeRequest]) -> list[Outcome | Future[Outcome]]:
        """The batch on the device; where that fails, its halves, down to the image that is to blame."""
        try:
            return self._run(batch)
        except Exception as error:  # DALI raises RuntimeError and what not
            failure = error.with_traceback(None)  # whose frames would hold on to the batch's memory
        self.failures[brief(failure)] += 1
        if _out_of_memory(failure):
            self._make_room(batch, failure)
        else:
            self._recover(failure)
        if len(batch) == 1:
            return [self._verdict(batch[0].image)]
        middle = len(batch) // 2
        return self._attempt(batch[:middle]) + self._attempt(batch[middle:])

    def _run(self, batch: list[DecodeRequest]) -> list[Outcome | Future[Outcome]]:
        crops = self._graph.run([job.request for job in batch])
        codes = self._encoder.encode(crops)
        for place in crops.suspects:
            codes[place] = None  # the codec looks closer: a flat grey corner may be just that
        return [
            Encoded(job.image.entry, code, *size, "gpu") if code is not None else self._verdict(job.image)
            for job, code, size in zip(batch, codes, crops.sizes, strict=True)
        ]

    def _make_room(self, batch: list[DecodeRequest], error: Exception) -> None:
        """Start anew with smaller batches, for the rest of the run.

        Raises:
            BackendError: a picture of ordinary size does not fit alone.
        """
        pixels = sum(job.pixels for job in batch)
        self._batch_pixels = min(self._batch_pixels, max(1, pixels // 2))
        if len(batch) == 1 and pixels < _LARGE:
            raise BackendError(
                f"{self.name}: the GPU's memory is full, even for a single picture: {brief(error)}; "
                "free memory on it, or use a smaller --batch-size"
            ) from error
        self._rebuild(error)

    def _recover(self, error: Exception) -> None:
        """Get the device back to work after an error that an image may have caused, or the device itself.

        Errors say little about which of the two it was, so a picture that is known to be good decides.

        Raises:
            BackendError: that picture fails, too.
        """
        try:
            self._graph.reset()
            self._check_device()
        except Exception:
            # A pipeline that cannot be reset, or not that far; a new one costs memory and half a second.
            self._rebuild(error)

    def _rebuild(self, error: Exception) -> None:
        try:
            self._graph.rebuild()
            self._check_device()
        except Exception as second:
            raise BackendError(f"{self.name}: the device broke: {brief(error)}; then {brief(second)}") from error

    def _check_device(self) -> None:
        if self._try_device() == [None] and not self._refuses:
            raise RuntimeError(f"the {self._encoder.name} encoder refuses a test picture")

    def _try_device(self) -> list[bytes | None]:
        return self._encoder.encode(self._graph.run([self._known_good]))


def _out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _OUT_OF_MEMORY)


def brief(error: BaseException) -> str:
    """What matters of a library's message: DALI puts the cause after ``encountered:``, amid paths and line numbers."""
    text = str(error).split("encountered:")[-1]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Critical error", "Current pipeline"))]
    return (telling or lines or [type(error).__name__])[0][:200]
