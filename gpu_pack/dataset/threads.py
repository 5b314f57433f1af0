"""Threads that share the records of a batch."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

_Task = TypeVar("_Task")
_Found = TypeVar("_Found")


class Threads:
    """Calls a function for each of some tasks, in several threads; a forked or pickled copy starts its own.

    Args:
        count: threads.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._started: tuple[int, ThreadPoolExecutor] | None = None

    def map(self, function: Callable[[_Task], _Found], tasks: Sequence[_Task]) -> list[_Found]:
        """The results in order; the exception of the first task that had one, once all threads have stopped."""
        results: dict[int, _Found] = {}
        errors: dict[int, BaseException] = {}
        waiting = deque(enumerate(tasks))  # each thread takes the next one: a slow picture holds up none but its own

        def work() -> None:
            while not errors and (taken := _next(waiting)) is not None:
                number, task = taken
                try:
                    results[number] = function(task)
                except BaseException as error:
                    errors[number] = error

        pool = self._pool()
        wait([pool.submit(work) for _ in range(min(self.count, len(tasks)))])
        if errors:
            raise errors[min(errors)]
        return [results[number] for number in range(len(tasks))]

    def close(self) -> None:
        """End the threads; `map` starts them again."""
        started, self._started = self._started, None
        if started is not None and started[0] == os.getpid():
            started[1].shutdown(wait=False)

    def _pool(self) -> ThreadPoolExecutor:
        if self._started is None or self._started[0] != os.getpid():
            self._started = os.getpid(), ThreadPoolExecutor(self.count, "gpu-pack-decode")
        return self._started[1]

    def __reduce__(self) -> tuple[type[Threads], tuple[int]]:
        return Threads, (self.count,)


def _next(waiting: deque[_Found]) -> _Found | None:
    try:
        return waiting.popleft()
    except IndexError:  # another thread has taken the last one
        return None
