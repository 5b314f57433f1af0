"""Reads on in a thread while what was read before is used."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

_Task = TypeVar("_Task")
_Found = TypeVar("_Found")


def read_ahead(function: Callable[[_Task], _Found], tasks: Iterable[_Task]) -> Iterator[_Found]:
    """The result of each task, in order; that of the next one is made in a thread meanwhile.

    What is left when the loop ends early: one task, which its thread finishes for nothing.

    Raises:
        Exception: that of the function, when its result is due.
    """
    going: _Reading[_Task, _Found] | None = None
    for task in tasks:
        before, going = going, _Reading(function, task)
        if before is None:
            going.start()
            continue
        found = before.result()
        going.start()
        yield found
    if going is not None:
        yield going.result()


class _Reading(threading.Thread, Generic[_Task, _Found]):
    """One task; a daemon, so that a store that does not answer holds up nobody who has ended."""

    def __init__(self, function: Callable[[_Task], _Found], task: _Task) -> None:
        super().__init__(name="gpu-pack-read-ahead", daemon=True)
        self._function, self._task = function, task
        self._found: list[_Found] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._found.append(self._function(self._task))
        except BaseException as error:
            self._error = error

    def result(self) -> _Found:
        self.join()
        if self._error is not None:
            raise self._error
        if not self._found:  # this process was forked meanwhile, and the thread is not in it
            return self._function(self._task)
        return self._found.pop()
