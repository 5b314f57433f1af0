"""Hands batches of one stream to workers and yields outcomes in the stream's order, bounded in bytes.

Each worker has one thread, which takes the worker's next batch (so that a fast worker takes more often). A thread waits
while too much is in flight. That cannot deadlock: batches are taken in order, so a worker has the oldest one already.
"""

from __future__ import annotations

import threading
import time
from bisect import insort
from collections.abc import Generator, Iterable, Iterator
from typing import Any, NamedTuple

from gpu_pack.errors import BackendError, GpuPackError
from gpu_pack.types import (
    DEFAULT_BATCH_BYTES,
    DEFAULT_BYTES_IN_FLIGHT,
    AnyWorker,
    Entry,
    Image,
    Outcome,
    Rescue,
    Workers,
    file_bytes,
)

#: What a stream holds: images, or entries for workers that read.
Item = Image | Entry

#: A worker that returns nothing for so long is taken for hung; the largest image that OpenCV allows takes a minute.
DEFAULT_STALL_SECONDS = 600.0
#: How long closing waits for threads that are inside a transform; after that they end with the process.
DEFAULT_CLOSE_SECONDS = 0.8
#: Near the stream's end, a batch is at least this part of a full one.
_SMALLEST_SHARE = 8
#: The caller's thread never waits longer at once: on Windows, Ctrl-C does not interrupt a wait.
_WAIT_SECONDS = 0.5


class _Batch(NamedTuple):
    """Consecutive items of the stream; ``first`` is the number of the first."""

    first: int
    items: list[Any]

    @property
    def size(self) -> int:
        return sum(map(_bytes, self.items))


class Engine:
    """Runs one stream through a set of unlike workers, once.

    Args:
        workers: at least one; the engine closes them, and those that ``rescue`` returns.
        rescue: lets the run survive broken workers. The batch of a worker that raised `BackendError` goes to the
            others; when none is left, ``rescue`` is asked for new ones. Without it, the first such error ends the run.
        bytes_in_flight: bound on the encoded bytes taken from the stream and not yet yielded; the batch that crosses
            the bound may exceed it by ``batch_bytes`` and one image.
        batch_bytes: a batch ends with the image that reaches so many encoded bytes.
        stall_seconds: without any outcome for so long, the run ends with a `BackendError`.
        close_seconds: how long `close` waits for threads that are inside a transform.

    Attributes:
        broken: one sentence for each worker that broke.
    """

    def __init__(
        self,
        workers: Workers,
        rescue: Rescue | None = None,
        *,
        bytes_in_flight: int = DEFAULT_BYTES_IN_FLIGHT,
        batch_bytes: int = DEFAULT_BATCH_BYTES,
        stall_seconds: float = DEFAULT_STALL_SECONDS,
        close_seconds: float = DEFAULT_CLOSE_SECONDS,
    ) -> None:
        if not workers:
            raise BackendError("there is no worker to run on")
        self.broken: list[str] = []
        self._workers: list[AnyWorker] = [*workers]
        self._rescue = rescue
        self._limit, self._batch_bytes = bytes_in_flight, batch_bytes
        self._stall_seconds, self._close_seconds = stall_seconds, close_seconds
        self._threads: list[threading.Thread] = []
        self._source: Iterator[Item] = iter(())
        self._taking = threading.Lock()  # one thread takes at a time, so that numbers follow the stream
        self._changed = threading.Condition()  # guards everything below
        self._turn = 0  # the number of the item to be yielded next
        self._taken = 0  # items taken from the stream
        self._total: int | None = None  # items that the stream has, where that is known
        self._in_flight = 0  # their bytes, less those of the yielded ones
        self._working: dict[int, _Batch] = {}  # by first number: taken, and without outcomes
        self._done: dict[int, tuple[_Batch, list[Outcome]]] = {}
        self._returned: list[_Batch] = []  # those of `_working` that broken workers left, in order
        self._living = 0  # threads
        self._answered_at = 0.0
        self._exhausted = False  # the stream is at its end
        self._stopped = False
        self._failure: BackendError | None = None  # of the worker that broke last
        self._error: BaseException | None = None  # what ends the run

    def run(self, items: Iterable[Item], total: int | None = None) -> Generator[Outcome, None, None]:
        """Yield the outcomes in the stream's order.

        Args:
            total: how many items the stream has: batches shrink towards its end, so that all workers end together.

        Raises:
            BackendError: a worker failed or answered wrongly, and no other could take over its images.
            SourceError: a worker could not read.
            Exception: whatever the stream itself raised.
        """
        self._source, self._total = iter(items), total
        try:
            self._start(self._workers)
            while self._wait():
                yield from self._ready()
            if self._error is not None:
                self.close()  # what is finished meanwhile need not be done again by a resumed run
                yield from self._ready()
                raise self._error
        finally:
            self.close()

    def close(self) -> None:
        """Take no more items, wait briefly for the threads, close the workers. May be called again."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        deadline = time.monotonic() + self._close_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._close_workers()

    # ---- in the caller's thread

    def _ready(self) -> Iterator[Outcome]:
        """The outcomes whose turn it is. A batch's bytes are in flight until the next one is asked for."""
        while (done := self._done.pop(self._turn, None)) is not None:
            batch, outcomes = done
            yield from outcomes
            with self._changed:
                self._turn += len(outcomes)
                self._in_flight -= batch.size
                self._changed.notify_all()

    def _wait(self) -> bool:
        """Wait for the next batch's outcomes. False at the stream's end, or after an error."""
        begun = time.monotonic()
        with self._changed:
            while self._turn not in self._done:
                if self._error is not None or (self._exhausted and self._turn == self._taken):
                    return False
                if not self._living:
                    self._start_rescue()
                if time.monotonic() - max(begun, self._answered_at) > self._stall_seconds:
                    raise BackendError(self._stall_message())
                self._changed.wait(min(_WAIT_SECONDS, self._stall_seconds))
        return True

    def _start_rescue(self) -> None:
        """Replace the workers, of which none is left."""
        error = self._failure or BackendError("every worker ended before the images did")
        helpers = list(self._rescue(error)) if self._rescue is not None and not self._stopped else []
        if not helpers:
            raise error
        self._workers += helpers
        self._start(helpers)

    def _start(self, workers: Workers) -> None:
        """A thread for each worker. They wait until all are counted: by their number, images are shared."""
        with self._changed:
            for worker in workers:
                thread = threading.Thread(target=self._serve, args=(worker,), name=worker.name, daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # the system has no more threads: those that run do the work
                    if worker is workers[0]:
                        raise BackendError(
                            f"no thread can be started for {thread.name}: end other programs, raise the limit of "
                            "processes (ulimit -u), or use fewer --workers"
                        ) from error
                    return
                self._living += 1
                self._threads.append(thread)

    def _stall_message(self) -> str:
        batch = self._working.get(self._turn)
        return (
            f"no worker has answered for {self._stall_seconds:.0f} s; {_path(batch.items[0]) if batch else 'a file'}, "
            f"image number {self._turn} of the run, from 0, is the first one waited for: see whether its storage "
            "answers and run the same command again to resume; if it hangs again, leave out that image or the next few"
        )

    # ---- in a worker's thread

    def _serve(self, worker: AnyWorker) -> None:
        try:
            while (batch := self._take(worker.batch_size)) is not None:
                try:
                    outcomes = _transform(worker, batch.items)
                except BackendError as error:
                    if self._rescue is None:
                        raise
                    self._give_back(worker, batch, error)
                    return
                with self._changed:
                    self._done[batch.first] = self._working.pop(batch.first), outcomes
                    self._answered_at = time.monotonic()
                    if batch.first == self._turn or self._exhausted:
                        self._changed.notify_all()
        except BaseException as error:
            self._error = self._error or error
        finally:
            with self._changed:
                self._living -= 1
                self._changed.notify_all()
            self._close_workers()

    def _take(self, count: int) -> _Batch | None:
        """Up to ``count`` items; None when no more can come, or the run is stopped."""
        with self._taking:
            while True:
                with self._changed:
                    self._changed.wait_for(self._must_not_wait)
                    if self._returned and not self._stopped:
                        return self._take_returned(count)
                    if self._stopped or self._exhausted:
                        return None
                    share = self._share(count)
                if (batch := self._pull(share)).items:
                    return batch

    def _share(self, full: int) -> int:
        """How many items a worker takes whose full batch has ``full``."""
        if self._total is None:
            return full
        even = (self._total - self._taken) // (2 * max(self._living, 1))
        return max(1, full // _SMALLEST_SHARE, min(full, even))

    def _must_not_wait(self) -> bool:
        if self._stopped or self._returned:
            return True
        if self._exhausted:  # a worker may yet break and leave its batch
            return self._rescue is None or not self._working
        return self._in_flight < self._limit

    def _pull(self, count: int) -> _Batch:
        """The stream's next items; none at its end. Not under the lock, since the stream may be slow."""
        items: list[Item] = []
        size = 0
        while len(items) < count and size < self._batch_bytes and (item := next(self._source, None)) is not None:
            items.append(item)
            size += _bytes(item)
        batch = _Batch(self._taken, items)
        with self._changed:
            if items:
                self._taken += len(items)
                self._in_flight += size
                self._working[batch.first] = batch
            else:
                self._exhausted = True
                self._changed.notify_all()
        return batch

    def _take_returned(self, count: int) -> _Batch:
        """The oldest batch that a broken worker left, cut to ``count`` items."""
        first, items = self._returned.pop(0)
        batch, rest = _Batch(first, items[:count]), _Batch(first + count, items[count:])
        if rest.items:
            self._working[first], self._working[rest.first] = batch, rest
            insort(self._returned, rest)
        return batch

    def _give_back(self, worker: AnyWorker, batch: _Batch, error: BackendError) -> None:
        with self._changed:
            self.broken.append(f"{worker.name}: {error}")
            self._failure = error
            insort(self._returned, batch)

    def _close_workers(self) -> None:
        """Close the workers of a stopped run once no thread is left: a device is never closed during a call.

        Where `close` could not wait for the threads, the last of them does it.
        """
        with self._changed:
            if self._living or not self._stopped:
                return
            workers, self._workers = self._workers, []
        for worker in workers:
            worker.close()


def _transform(worker: AnyWorker, items: list[Any]) -> list[Outcome]:
    """The worker's outcomes, as many as items; any error that is not ours is a `BackendError`."""
    try:
        outcomes = worker.transform(items)
    except GpuPackError:
        raise
    except Exception as error:
        raise BackendError(f"worker {worker.name} failed with {type(error).__name__}: {error}") from error
    if len(outcomes) != len(items):
        raise BackendError(f"worker {worker.name} answered {len(items)} images with {len(outcomes)} outcomes")
    return outcomes


def _bytes(item: Item) -> int:
    return len(item.data) if isinstance(item, Image) else file_bytes(item)


def _path(item: Item) -> str:
    return item.entry.path if isinstance(item, Image) else item.path
