"""Threads for jobs that may add further jobs, with a bound on the bytes that wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

#: Bytes that may be in jobs, for each thread and four more: a batch of records has 1 MiB, a large image a few.
_BYTES_PER_WORKER = 4 << 20


class PoolStoppedError(Exception):
    """The pool was closed, or another job failed."""


class BoundedPool:
    """Runs jobs on threads. If too much waits, a job that adds another runs it itself: no job waits for another.

    Args:
        workers: number of threads.
    """

    def __init__(self, workers: int) -> None:
        self._max_bytes = (workers + 4) * _BYTES_PER_WORKER
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="verify")
        self._changed = threading.Condition()
        self._jobs = self._bytes = 0
        self._failure: BaseException | None = None

    def __enter__(self) -> BoundedPool:
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._failure = self._failure or PoolStoppedError()
        self._pool.shutdown(cancel_futures=True)

    def submit(self, job: Callable[[], None], size: int = 0) -> None:
        """Queue a job that holds ``size`` bytes, or run it now if too many bytes wait already.

        Raises:
            PoolStoppedError: its result is no longer wanted.
        """
        with self._changed:
            if self._failure is not None:
                raise PoolStoppedError
            queued = self._bytes + size <= self._max_bytes
            if queued:
                self._jobs += 1
                self._bytes += size
                self._pool.submit(self._run, job, size)
        if not queued:
            job()

    def wait(self, on_tick: Callable[[], None]) -> None:
        """Wait for all jobs and raise what one of them raised; calls ``on_tick`` a few times a second."""
        finished = False
        while not finished:
            with self._changed:
                finished = self._changed.wait_for(lambda: not self._jobs or self._failure is not None, 0.2)
            on_tick()
        if self._failure is not None:
            raise self._failure

    def _run(self, job: Callable[[], None], size: int) -> None:
        failure: BaseException | None = None
        try:
            if self._failure is None:
                job()
        except BaseException as error:
            failure = error
        with self._changed:
            self._jobs -= 1
            self._bytes -= size
            self._failure = self._failure or failure
            if not self._jobs or failure is not None:
                self._changed.notify_all()
