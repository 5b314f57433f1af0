"""Threads that read files: few where storage is fast, more where it makes them wait.

A file in the system's cache is read faster than threads change places, and every further one takes caches and the
interpreter from the decoders: on two cores, two readers instead of four make a whole run 3 % faster. Network storage
answers in milliseconds whoever asks, and sixteen threads get eight times as much from it as two.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

from gpu_pack.errors import SourceError

T = TypeVar("T")

#: More are not started for the sake of slow storage.
MOST_READERS = 16
#: A task that computes for less than this share of its time has been waiting: 0.5 to 0.9 with files in the cache, about
#: 0.2 with a local disk, under 0.02 with network storage.
_COMPUTING = 0.3
#: Storage that says nothing for so long is taken for lost.
DEFAULT_STALL_SECONDS = 600.0


class IoThreads(Generic[T]):
    """A pool of threads that doubles when somebody has to wait for a task, and the tasks spend their time waiting too.

    Args:
        threads: to begin with.
        most: never more than these.
    """

    def __init__(self, threads: int, most: int = MOST_READERS) -> None:
        self.threads = threads
        self._most = most
        self._waiting = False  # whether the task that ended last mostly waited
        self._pools = [ThreadPoolExecutor(threads, thread_name_prefix="read")]

    def submit(self, task: Callable[[], T]) -> Future[T]:
        """Have a task done, after those that were submitted before it have been begun."""
        return self._pools[-1].submit(self._run, task)

    def result(self, future: Future[T], path: str, stall_seconds: float = DEFAULT_STALL_SECONDS) -> T:
        """What a task gave, or raised.

        Args:
            path: the task's first file, for a message.

        Raises:
            SourceError: it has not ended in so many seconds.
        """
        if not future.done() and self._waiting:
            self._grow()
        deadline = time.monotonic() + stall_seconds
        while not future.done():
            if time.monotonic() > deadline:
                raise SourceError(
                    f"nothing could be read for {stall_seconds:.0f} s, and {path} is the first file waited for: see "
                    "whether its storage answers, then run the same command again to go on"
                )
            wait([future], timeout=0.5)  # not for longer: on Windows that does not notice Ctrl-C
        return future.result()

    def close(self) -> None:
        """Begin no more tasks, and do not wait for those that are under way."""
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, task: Callable[[], T]) -> T:
        begun, computed = time.perf_counter(), time.thread_time()
        result = task()
        self._waiting = time.thread_time() - computed < _COMPUTING * (time.perf_counter() - begun)
        return result

    def _grow(self) -> None:
        threads = min(2 * self.threads, self._most)
        if threads > self.threads:
            self.threads, self._waiting = threads, False
            self._pools[-1].shutdown(wait=False)  # it does what it has been given
            self._pools.append(ThreadPoolExecutor(threads, thread_name_prefix="read"))
