"""Hands images to workers from one bounded stream and yields outcomes in the order of the list.

Each worker has one thread. A thread takes its worker's next images from the shared stream (so a fast worker simply
takes more often), transforms them and files the outcomes under the number of the first image; the caller's thread
yields them when their turn comes. What is under way is bounded in bytes: a thread waits before it takes more. That
cannot deadlock, because images are taken in order, so the oldest ones are always already with a worker.
"""

from __future__ import annotations

import threading
import time
from bisect import insort
from collections.abc import Generator, Iterable, Iterator
from typing import Any

from gpu_pack.errors import BackendError
from gpu_pack.types import (
    DEFAULT_BYTES_IN_FLIGHT,
    AnyWorker,
    Entry,
    Image,
    Outcome,
    Rejected,
    Rescue,
    Workers,
    file_bytes,
)

#: What a stream holds: images, or entries where the workers read them.
Item = Image | Entry | Rejected

#: A worker that says nothing for so long is taken for hung; the largest image that OpenCV allows takes a minute.
DEFAULT_STALL_SECONDS = 600.0
#: How long closing waits for threads that are inside a transform; after that they die with the process.
_CLOSE_SECONDS = 0.8
#: So many outcomes are worth waking the caller's thread for; and so long, in seconds, it waits for that many. With 64
#: and 0.1, whole runs of 5,000 photographs on two cores took 1.3 % more CPU time (28 of each in turn).
_RIPE = 256
_PATIENCE = 0.3


class Engine:
    """Runs one stream of images through a set of unlike workers, once.

    Args:
        workers: at least one; the engine closes them, and those that ``rescue`` gives.
        rescue: makes the run survive broken workers. The images of a worker that raised `BackendError` go to the
            others; when none is left, ``rescue`` is asked for new ones. Without it, the first such error ends the run.
        bytes_in_flight: bound on the encoded bytes taken from the stream and not yet yielded; the batch that crosses
            the bound may exceed it by a quarter and one image.
        stall_seconds: without any outcome for so long, the run ends with a `BackendError` instead of hanging.

    Attributes:
        broken: one sentence for each worker that was given up.
    """

    def __init__(
        self,
        workers: Workers,
        rescue: Rescue | None = None,
        *,
        bytes_in_flight: int = DEFAULT_BYTES_IN_FLIGHT,
        stall_seconds: float = DEFAULT_STALL_SECONDS,
    ) -> None:
        if not workers:
            raise BackendError("there is no worker to run on")
        self.broken: list[str] = []
        self._workers: list[AnyWorker] = [*workers]
        self._rescue = rescue
        self._limit = bytes_in_flight
        self._stall = stall_seconds
        self._threads: list[threading.Thread] = []
        self._source: Iterator[Item] = iter(())
        self._taking = threading.Lock()  # one thread pulls at a time, so that numbers follow the stream
        self._state = threading.Lock()  # guards everything below
        self._answers = threading.Condition(self._state)  # what the caller's thread waits for
        self._room = threading.Condition(self._state)  # what the workers' threads wait for
        self._turn = 0  # the image that the caller's thread is to yield next
        self._yielded = 0  # encoded bytes of the images that it yielded last
        self._taken = 0  # images pulled so far: the next one's number
        self._sizes: dict[int, int] = {}  # first image's number -> encoded bytes; every batch not yet yielded
        self._paths: dict[int, str] = {}  # and the first image's path
        self._in_flight = 0  # their sum
        self._done: dict[int, list[Outcome]] = {}  # those of them that have outcomes
        self._answered = 0  # how many outcomes these are
        self._returned: list[tuple[int, list[Item]]] = []  # a broken worker's batches, lowest number first
        self._living = 0
        self._leaving = 0  # those of them that broke and are about to end
        self._exhausted = False
        self._stopped = False
        self._error: BaseException | None = None

    def run(self, images: Iterable[Item]) -> Generator[Outcome, None, None]:
        """Outcomes in the stream's order; a `Rejected` in the stream (an unreadable file) keeps its place.

        Raises:
            BackendError: a worker failed or answered wrongly, and nobody could take its images over.
            Exception: whatever the stream itself raised.
        """
        self._source = iter(images)
        try:
            self._start(self._workers)
            while outcomes := self._await():
                yield from outcomes
            if self._error is not None:
                self.close()  # what the workers have in hand gets a moment to be done, and need not be done again
                with self._state:  # a worker that hangs may answer yet
                    outcomes = self._collect()
                yield from outcomes
                raise self._error
        finally:
            self.close()

    def close(self) -> None:
        """Stop taking images, wait briefly for the threads, free the workers. May be called again."""
        with self._state:
            self._stopped = True
            self._room.notify_all()
        deadline = time.monotonic() + _CLOSE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._free()

    # ---- in the caller's thread

    def _await(self) -> list[Outcome]:
        """The outcomes whose turn it is, once they are enough; none at the stream's end, or after an error."""
        with self._state:
            self._in_flight -= self._yielded
            self._room.notify_all()
            answered, last_answer, patient = self._answered, time.monotonic(), True
            while not (self._ripe() if patient else self._turn in self._done):
                if self._error is not None or (self._exhausted and self._turn == self._taken):
                    return []
                if not self._living:
                    raise BackendError("every worker ended before the images did")
                # Not without a limit: on Windows such a wait does not notice Ctrl-C.
                patient = self._answers.wait(_PATIENCE)
                if self._answered != answered:
                    answered, last_answer = self._answered, time.monotonic()
                elif time.monotonic() - last_answer > self._stall:
                    raise BackendError(_stalled(self._paths.get(self._turn), self._turn, self._stall))
            return self._collect()

    def _ripe(self) -> bool:
        """Whether the caller's thread should be woken.

        Not for each batch: the interpreter has to be fetched into the processor's caches every time, and the decoders
        need these too.
        """
        return self._turn in self._done and (self._answered >= _RIPE or not self._may_pull())

    def _collect(self) -> list[Outcome]:
        """Every outcome whose turn it is. Their bytes count as in flight until the next ones are asked for."""
        outcomes: list[Outcome] = []
        self._yielded = 0
        while (batch := self._done.pop(self._turn, None)) is not None:
            self._yielded += self._sizes.pop(self._turn)
            del self._paths[self._turn]
            self._turn += len(batch)
            outcomes += batch
        self._answered -= len(outcomes)
        return outcomes

    def _start(self, workers: Workers) -> None:
        threads = [threading.Thread(target=self._serve, args=(one,), name=one.name, daemon=True) for one in workers]
        with self._state:  # all of them before the first one runs: it must not take itself for the last
            self._living += len(threads)
        for place, thread in enumerate(threads):
            try:
                thread.start()
            except RuntimeError as error:  # the system gives no more: those that run must do
                with self._state:
                    self._living -= len(threads) - place
                if not place:
                    raise BackendError(
                        f"no thread can be started for {thread.name}: end other programs, raise the limit of "
                        "processes (ulimit -u), or use fewer --workers"
                    ) from error
                return
            self._threads.append(thread)

    # ---- in a worker's thread

    def _serve(self, worker: AnyWorker) -> None:
        broke = 0
        try:
            while (taken := self._take(worker.batch_size)) is not None:
                first, items = taken
                try:
                    outcomes = _transform(worker, items)
                except BackendError as error:
                    broke = 1
                    self._give_back(worker, first, items, error)
                    return
                with self._state:
                    self._done[first] = outcomes
                    self._answered += len(outcomes)
                    self._tell()
        except BaseException as error:
            with self._state:
                self._error = self._error or error
        finally:
            with self._state:
                self._living -= 1
                self._leaving -= broke
                self._answers.notify()
                self._room.notify_all()
            self._free()

    def _free(self) -> None:
        """Close the workers of a stopped run, once no thread is left: never take a device away under a running call.

        So where closing could not wait for it, the last thread does it.
        """
        with self._state:
            if self._living or not self._stopped:
                return
            workers, self._workers = self._workers, []
        for worker in workers:
            worker.close()

    def _tell(self) -> None:
        """Wake whom it may concern that images were taken or answered."""
        if self._ripe():
            self._answers.notify()
        if self._exhausted:
            self._room.notify_all()

    def _take(self, count: int) -> tuple[int, list[Item]] | None:
        """Up to ``count`` images and the number of the first; None when no more can come or the run is stopped."""
        with self._taking:
            while True:
                with self._state:
                    while not (self._stopped or self._returned or self._may_pull() or self._settled()):
                        self._room.wait()
                    if self._stopped:
                        return None
                    if self._returned:
                        return self._take_returned(count)
                    if not self._may_pull():
                        return None
                if batch := self._pull(count):
                    return batch

    def _may_pull(self) -> bool:
        return not self._exhausted and self._in_flight < self._limit

    def _settled(self) -> bool:
        """Whether no image can come any more: the stream is at its end, and no worker can give images back."""
        return self._exhausted and (self._rescue is None or len(self._done) == len(self._sizes))

    def _pull(self, count: int) -> tuple[int, list[Item]] | None:
        items: list[Item] = []
        size = 0
        ended = False
        while len(items) < count and size <= self._limit // 4:
            item = next(self._source, None)
            if item is None:
                ended = True
                break
            items.append(item)
            size += _bytes(item)
        with self._state:
            self._exhausted = ended
            first = self._taken
            if items:
                self._taken += len(items)
                self._sizes[first], self._paths[first] = size, _path(items[0])
                self._in_flight += size
            self._tell()
        return (first, items) if items else None

    def _take_returned(self, count: int) -> tuple[int, list[Item]]:
        """The oldest images that a broken worker left, cut to what this worker likes."""
        first, items = self._returned.pop(0)
        mine, rest = items[:count], items[count:]
        if rest:
            insort(self._returned, (first + count, rest), key=lambda batch: batch[0])
            self._sizes[first + count], self._paths[first + count] = sum(map(_bytes, rest)), _path(rest[0])
            self._sizes[first] -= self._sizes[first + count]
        return first, mine

    def _give_back(self, worker: AnyWorker, first: int, items: list[Item], error: BackendError) -> None:
        with self._state:
            self.broken.append(f"{worker.name}: {error}")
            insort(self._returned, (first, items), key=lambda batch: batch[0])
            self._leaving += 1  # of two that break at once, neither must take the other for one who stays
            last = self._living == self._leaving
        if self._rescue is None:
            raise error
        if last:
            helpers = list(self._rescue(error))
            if not helpers:
                raise error
            self._workers += helpers
            self._start(helpers)


def _transform(worker: AnyWorker, items: list[Item]) -> list[Outcome]:
    """The worker's outcomes for the images, with the stream's own rejects in their places.

    Raises:
        BackendError: the worker broke, or answered with another number of outcomes.
    """
    images: list[Any] = [item for item in items if not isinstance(item, Rejected)]  # or entries: what this worker takes
    try:
        answers = worker.transform(images) if images else []
    except BackendError:
        raise
    except Exception as error:
        raise BackendError(f"worker {worker.name} failed with {type(error).__name__}: {error}") from error
    if len(answers) != len(images):
        raise BackendError(f"worker {worker.name} answered {len(images)} images with {len(answers)} outcomes")
    if len(images) == len(items):
        return answers
    remaining = iter(answers)
    return [item if isinstance(item, Rejected) else next(remaining) for item in items]


def _bytes(item: Item) -> int:
    if isinstance(item, Image):
        return len(item.data)
    return file_bytes(item) if isinstance(item, Entry) else 0


def _path(item: Item) -> str:
    return item.path if isinstance(item, Entry) else item.entry.path


def _stalled(path: str | None, turn: int, seconds: float) -> str:
    """``path``: of the first image of the batch that is waited for; None where it was not even taken."""
    return (
        f"no worker has answered for {seconds:.0f} s; {path or 'a file'}, image number {turn} of the run, from 0, is "
        "the first one waited for: run the same command again to go on, and if it hangs there again, leave out that "
        "image, or one of the few after it"
    )
