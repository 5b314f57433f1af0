"""How many threads reading is worth: tried out, and undone where it brings nothing.

That a thread waits does not prove slow storage. Among busy threads it waits for the interpreter, and each further one
makes all of them wait longer: on two cores, with workers that cost nothing, sixteen brought a fifth less than two.
"""

from __future__ import annotations

import time

#: Results by which the pace is judged, at least, and for each thread: two of each are under way at any time.
_WINDOW, _WINDOW_EACH = 8, 2
#: And seconds, at least: a machine that falters for a moment must not decide.
_SECONDS = 0.1
#: What twice the threads must bring at least, or they are taken back.
_GAIN = 1.25
#: Windows before it is tried again, at first; twice as many each time.
_PAUSE = 32


class AdaptiveThreads:
    """Judges by results whether more threads are worth a try, and whether they were worth it."""

    def __init__(self) -> None:
        self._since = time.perf_counter()
        self._results = 0
        self._waited = 0.0  # seconds that were spent on waiting for these
        self._settling = False  # what comes now was begun before the threads became more
        self._trial: float | None = None  # results a second, before they did
        self._pause, self._next_pause = 0, _PAUSE

    def note(self, waited: float, waiting: bool, threads: int) -> int:
        """Take note of a result. 1 to double the threads, -1 to undo that, or 0.

        Args:
            waited: seconds, for this result.
            waiting: storage may be the reason, and there can be more threads.
            threads: how many there are.
        """
        self._results += 1
        self._waited += waited
        if self._results < max(_WINDOW, _WINDOW_EACH * threads):
            return 0
        now = time.perf_counter()
        seconds = now - self._since
        if seconds < _SECONDS and not self._settling:
            return 0
        step = 0 if self._settling else self._judge(self._results / seconds, self._waited > seconds / 2, waiting)
        self._settling = step > 0
        self._since, self._results, self._waited = now, 0, 0.0
        return step

    def _judge(self, rate: float, hungry: bool, waiting: bool) -> int:
        before, self._trial = self._trial, None
        if before is not None and hungry and rate < _GAIN * before:
            self._pause, self._next_pause = self._next_pause, 2 * self._next_pause
            return -1
        if self._pause:
            self._pause -= 1
            return 0
        if hungry and waiting:
            self._trial = rate
            return 1
        return 0
