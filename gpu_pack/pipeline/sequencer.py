"""Lets threads through one at a time, in the order of their numbers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager


class Sequencer:
    """A gate for threads that hold the numbers 0, 1, 2 and so on.

    Whoever waits here must know that all lower numbers are on their way: in a pool that begins its tasks in the order
    in which they were submitted, they are.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._next = 0
        self._busy = False
        self._over = False

    @contextmanager
    def turn(self, number: int) -> Iterator[None]:
        """Wait for a number's turn and hand on to the next. An error within ends the turns for all.

        Raises:
            CancelledError: there are no more turns.
        """
        with self._changed:
            while self._next != number and not self._over:
                self._changed.wait()
            if self._over:
                raise CancelledError
            self._busy = True
        done = False
        try:
            yield
            done = True
        finally:
            with self._changed:
                self._busy = False
                self._next += 1
                self._over = self._over or not done
                self._changed.notify_all()

    def end(self) -> None:
        """Let no turn begin any more, and wait for the one that has begun. May be called again."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
            while self._busy:
                self._changed.wait(0.1)  # not for good: on Windows such a wait does not notice Ctrl-C
