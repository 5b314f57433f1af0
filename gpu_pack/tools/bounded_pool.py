"""Threads that look at images while others read files: bounded in bytes, and no failure of theirs goes unseen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

_MAX_BYTES = 256 << 20


class PoolStoppedError(Exception):
    """The work was called off."""


class BoundedPool:
    """A pool that takes jobs while no more than a fixed number of bytes is waiting in it.

    Args:
        workers: threads.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="verify")
        self._changed = threading.Condition()
        self._jobs = self._bytes = 0
        self._failure: BaseException | None = None
        self._stopped = False

    def __enter__(self) -> BoundedPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._pool.shutdown(cancel_futures=True)

    def stop(self) -> None:
        """Call everything off: whoever waits or submits gets `PoolStoppedError`."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def submit(self, size: int, job: Callable[[], None]) -> None:
        """Hand over a job that keeps ``size`` bytes in memory, when there is room for it.

        Raises:
            PoolStoppedError: nobody wants it any more.
        """
        with self._changed:
            while self._jobs and (self._bytes + size > _MAX_BYTES or self._jobs >= 8 * self.workers):
                self._refuse_stopped()
                self._changed.wait()
            self._refuse_stopped()
            self._jobs += 1
            self._bytes += size
        try:
            self._pool.submit(job).add_done_callback(lambda done: self._done(done, size))
        except RuntimeError:  # shut down meanwhile
            raise PoolStoppedError from None

    def wait(self) -> None:
        """Until every job is done; raises what one of them raised."""
        with self._changed:
            while self._jobs and self._failure is None:
                self._changed.wait(0.2)  # not for good, so that Ctrl-C gets through on every system
            if self._failure is not None:
                raise self._failure

    def _refuse_stopped(self) -> None:
        if self._stopped or self._failure is not None:
            raise PoolStoppedError

    def _done(self, done: Future[None], size: int) -> None:
        failure = None if done.cancelled() else done.exception()
        with self._changed:
            self._jobs -= 1
            self._bytes -= size
            self._failure = self._failure or failure
            self._changed.notify_all()
