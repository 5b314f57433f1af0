"""Progress of running tasks: each reports to an actor, which the driver polls.

A report holds the counts of the whole task, so that one that is lost, repeated or late does no harm. What dies with the
actor's node is reported again.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from gpu_pack.types import Progress

#: Reports of all tasks in a second. Each costs the task half a millisecond, and the actor as much; no task waits for an
#: answer.
_PER_SECOND = 200
#: Reports that may be on their way to an actor that does not answer; a task then sends no more until it does.
_MOST_PENDING = 64


class Counts(NamedTuple):
    """Images of a task that are decided, those before its start among them, and how many of them are rejects."""

    done: int
    rejected: int


class Board:
    """The actor."""

    def __init__(self) -> None:
        self._counts: dict[int, Counts] = {}

    def report(self, task: int, counts: Counts) -> None:
        """Set what a task has done so far."""
        self._counts[task] = counts

    def read(self, tasks: Collection[int]) -> dict[int, Counts]:
        """What these have reported; all others are forgotten."""
        self._counts = {task: counts for task, counts in self._counts.items() if task in tasks}
        return self._counts


@dataclass
class ProgressReporter:
    """The ``on_progress`` of a task.

    Attributes:
        board: the actor.
        task: its number.
        every: seconds between two reports.
    """

    board: Any
    task: int
    every: float
    _next: float = 0.0

    def __call__(self, state: Progress) -> None:
        """Report, unless it is too early."""
        if (now := time.monotonic()) < self._next:
            return
        self._next = now + self.every
        with suppress(Exception):  # no count is worth a shard
            self.board.report.remote(self.task, Counts(state.done, state.rejected))


class BoardClient:
    """The board as the driver sees it.

    Args:
        ray: the module, connected.
    """

    def __init__(self, ray: Any) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray = ray
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        remote = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=0, max_pending_calls=_MOST_PENDING)(Board)
        self._board = remote.options(scheduling_strategy=here).remote()
        self._asked: Any = None
        self._counts: Mapping[int, Counts] = {}

    def reporter(self, task: int, tasks: int) -> ProgressReporter:
        """For a task, one of so many that run at once: it reports each second, less often where there are hundreds."""
        return ProgressReporter(self._board, task, max(1.0, tasks / _PER_SECOND))

    def read(self, tasks: Collection[int]) -> Counts:
        """The sum of what these tasks reported last; never waits for it."""
        with suppress(self._ray.exceptions.RayError):  # it is being started again
            if self._asked is not None and self._ray.wait([self._asked], timeout=0)[0]:
                asked, self._asked = self._asked, None
                self._counts = self._ray.get(asked)
            if self._asked is None:
                self._asked = self._board.read.remote({*tasks})
        known = [counts for task, counts in self._counts.items() if task in tasks]
        return Counts(sum(counts.done for counts in known), sum(counts.rejected for counts in known))

    def close(self) -> None:
        """End the actor."""
        with suppress(Exception):  # a cluster that is gone has none
            self._ray.kill(self._board)
