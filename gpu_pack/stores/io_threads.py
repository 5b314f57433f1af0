"""Threads that read files: few where storage is fast, more where it makes them wait.

A file in the system's cache is read faster than threads change places, and every further one takes caches and the
interpreter from the decoders: on two cores, two readers instead of four made a whole run 3 % faster. Network storage
takes milliseconds to answer, and while one thread waits, others can.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

from gpu_pack.errors import SourceError
from gpu_pack.stores.adaptive_threads import AdaptiveThreads

S = TypeVar("S")
T = TypeVar("T")

#: Bytes that may be read and not yet taken.
DEFAULT_BYTES_AHEAD = 96 << 20
#: More are not started for the sake of slow storage.
MOST_READERS = 16
#: A task that computes for less than this share of its time has been waiting. With files of 110 KB in the cache it is
#: 0.45 to 0.7; an answer that takes a millisecond a file leaves 0.07.
_COMPUTING = 0.3
#: So many tasks in a row must have waited: a busy machine makes a single one wait too.
_PATIENCE = 3
#: Storage that says nothing for so long is taken for lost. Less than the engine's limit: here the file can be named.
DEFAULT_STALL_SECONDS = 540.0


def as_read(value: T) -> T:
    """The ``then`` of a `Task` with which nothing is to be done."""
    return value


@dataclass(frozen=True)
class Task(Generic[S, T]):
    """Some files to be read.

    Attributes:
        read: reads them.
        path: the first of them, for a message.
        size: how much there is of them, in bytes.
        then: what to do with them in the same thread; what it waits for does not count as waiting for storage.
    """

    read: Callable[[], S]
    path: str
    size: int
    then: Callable[[S], T]


class IoThreads(Generic[T]):
    """A pool of threads that doubles when somebody has to wait for a task, and the tasks spend their time waiting too.

    Where that brings nothing it is undone: among busy threads, tasks wait for the interpreter and not for storage.
    Tasks are begun in the order in which they were submitted.

    Args:
        threads: to begin with.
        most: never more than these.
        readers: how many of them read at a time, as long as reading is no waiting; None for all.

    Attributes:
        threads: how many there are by now.
    """

    def __init__(self, threads: int, most: int = MOST_READERS, readers: int | None = None) -> None:
        self.threads = threads
        self._most = most
        self._readers = readers or threads
        self._gate = threading.Condition()
        self._come = self._gone = 0  # tasks that came to the gate, and those that have read
        self._waited = 0  # tasks that mostly waited, since the last one that did not
        self._pace = AdaptiveThreads()
        self._before: list[tuple[int, int]] = []  # threads and readers, before each time that they became more
        self._pools = [ThreadPoolExecutor(threads, thread_name_prefix="read")]

    def in_order(self, tasks: Iterable[Task[S, T]], bytes_ahead: int = DEFAULT_BYTES_AHEAD) -> Generator[T, None, None]:
        """What the tasks give, in their order; two for each thread are under way.

        Args:
            bytes_ahead: bound on what they stand for, unless one alone stands for more.

        Raises:
            SourceError: the storage does not answer.
        """
        ahead: deque[tuple[Future[T], Task[S, T]]] = deque()
        waiting = 0
        for task in tasks:
            while ahead and (len(ahead) > 2 * self.threads or waiting + task.size > bytes_ahead):
                future, first = ahead.popleft()
                waiting -= first.size
                yield self.result(future, first.path)
            ahead.append((self.submit(task.read, task.then), task))
            waiting += task.size
        while ahead:
            future, first = ahead.popleft()
            yield self.result(future, first.path)

    def submit(self, read: Callable[[], S], then: Callable[[S], T]) -> Future[T]:
        """Have a task done: see `Task`."""
        return self._pools[-1].submit(self._run, read, then)

    def result(self, future: Future[T], path: str, stall_seconds: float = DEFAULT_STALL_SECONDS) -> T:
        """What a task gave, or raised.

        Args:
            path: the task's first file, for a message.

        Raises:
            SourceError: it has not ended in so many seconds.
        """
        begun = time.perf_counter()
        while not future.done():
            if time.perf_counter() - begun > stall_seconds:
                raise SourceError(
                    f"nothing could be read for {stall_seconds:.0f} s, and {path} is the first file waited for: see "
                    "whether its storage answers, then run the same command again to go on"
                )
            wait([future], timeout=0.5)  # not for longer: on Windows that does not notice Ctrl-C
        self._adapt(time.perf_counter() - begun)
        return future.result()

    def close(self) -> None:
        """Begin no more tasks, and do not wait for those that are under way."""
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, read: Callable[[], S], then: Callable[[S], T]) -> T:
        with self._gate:
            number, self._come = self._come, self._come + 1
            self._gate.wait_for(lambda: number < self._gone + self._readers)  # first come, first served
        try:
            begun, computed = time.perf_counter(), time.thread_time()
            result = read()
            waited = time.thread_time() - computed < _COMPUTING * (time.perf_counter() - begun)
            self._waited = self._waited + 1 if waited else 0
        finally:
            with self._gate:
                self._gone += 1
                self._gate.notify_all()
        return then(result)

    def _adapt(self, waited: float) -> None:
        more = min(2 * self.threads, self._most)
        waiting = self._waited >= _PATIENCE and more > self._readers
        step = self._pace.note(waited, waiting, self.threads)
        if step > 0:
            self._before.append((self.threads, self._readers))
            self._resize(more, more)
        elif step < 0:
            self._resize(*self._before.pop())

    def _resize(self, threads: int, readers: int) -> None:
        with self._gate:
            self._readers = readers
            self._gate.notify_all()
        if threads != self.threads:
            self.threads = threads
            self._pools[-1].shutdown(wait=False)  # it does what it has been given
            self._pools.append(ThreadPoolExecutor(threads, thread_name_prefix="read"))
