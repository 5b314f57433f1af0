"""Hand out a plan's shards to a cluster, and see that each one is packed."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from gpu_pack.distributed.board import BoardClient, ProgressReporter
from gpu_pack.distributed.nodes import Look, Slot, alive, slots
from gpu_pack.distributed.task import Check, Failure, Task, Unfit
from gpu_pack.errors import BackendError, GpuPackError, StrictError, UsageError
from gpu_pack.output.staging import Staging
from gpu_pack.pipeline.plan import Plan, versions
from gpu_pack.pipeline.results import PackResult, ShardResult, gather
from gpu_pack.types import OnProgress, Progress

#: How often a shard may fail for one reason.
_TRIES = 3
#: Shards that a task with a GPU packs, whose workers take seconds to start.
_MOST_SHARDS = 32
#: Tasks for each place where one can run: one that runs, one that waits.
_AHEAD = 2
_POLL_SECONDS = 0.5
#: Ray's own, with a node's id.
_NODE_LABEL = "ray.io/node-id"
_CANCEL_SECONDS = 10.0
_log = logging.getLogger("gpu_pack")


class _Running(NamedTuple):
    """A task that runs or waits: what it takes of a node, its shards, and its number on the board."""

    slot: Slot
    numbers: list[int]
    task: int


@dataclass
class Packing:
    """The shards of one plan on one cluster.

    Attributes:
        ray: the module, connected.
        plan: all of it.
        staging: of its run, which has begun.
        on_progress: called twice a second.
        look: examines a node; each process of one does so before its first task, since nodes may come at any time.
        unused: ids of nodes that are left out.
        folder: the option ``staging``.
    """

    ray: Any
    plan: Plan
    staging: Staging
    on_progress: OnProgress
    look: Look
    unused: set[str] = field(default_factory=set)
    folder: Path | None = None
    _waiting: deque[int] = field(default_factory=deque)
    _running: dict[Any, _Running] = field(default_factory=dict)
    _functions: dict[Slot, Any] = field(default_factory=dict)
    _tasks: Iterator[int] = field(default_factory=count)
    _failures: Counter[tuple[int, str]] = field(default_factory=Counter)
    _alone: set[int] = field(default_factory=set)
    _progress: Progress = field(default_factory=Progress)

    def run(self) -> PackResult:
        """Pack what is not packed yet; gives what the whole run did.

        Raises:
            GpuPackError: a shard failed three times for the same reason; the others stay.
        """
        before = self._find_before()
        board = BoardClient(self.ray)
        check = Check(uuid4().hex, self.look, versions(self.plan.spec, self.plan.device))
        try:
            while self._waiting or self._running:
                nodes = self._nodes()
                there = slots(nodes, self.plan)
                self._take_back(there)
                self._submit(there, check, board)
                self._show(there, nodes, board)
                self._collect()
        except BaseException:
            self._cancel()
            raise
        finally:
            board.close()
        packed = gather(self.plan, self.staging)
        resumed = (replace(each, resumed=each.records) if each.name in before else each for each in packed.shards)
        return replace(packed, shards=tuple(resumed), seconds=0.0)

    def _find_before(self) -> set[str]:
        """The shards that are packed already."""
        early = len(self.plan.listing.rejects)
        images = sum(len(shard.rows) for shard in self.plan.shards)
        self._progress = Progress(early, images + early, rejected=early)
        before = set()
        for number, shard in enumerate(self.plan.shards):
            found = self.staging.result(shard.name)
            if found is None:
                self._waiting.append(number)
            else:
                before.add(shard.name)
                self._count(ShardResult.from_json(found))
        return before

    def _nodes(self) -> list[dict[str, Any]]:
        """The living nodes that may pack.

        Raises:
            BackendError: all that live are left out.
        """
        living = alive(self.ray.nodes())
        nodes = [node for node in living if node["NodeID"] not in self.unused]
        if living and not nodes:
            raise BackendError(
                "no node is left that can pack; the same command resumes from the shards that are packed"
            )
        return nodes

    def _take_back(self, there: Counter[Slot]) -> None:
        """Shards that wait for a kind of node of which none lives any more."""
        for ref, running in [*self._running.items()]:
            if there and running.slot not in there:
                self.ray.cancel(ref)
                del self._running[ref]
                self._waiting.extendleft(running.numbers)

    def _submit(self, there: Counter[Slot], check: Check, board: BoardClient) -> None:
        """Keep every place busy, GPUs first."""
        for slot in sorted(there, key=lambda slot: -slot.gpus):
            busy = sum(running.slot == slot for running in self._running.values())
            for _ in range(_AHEAD * there[slot] - busy):
                numbers = self._next(slot, there)
                if not numbers:
                    return
                number = next(self._tasks)
                task = Task(self.plan.part(numbers), slot.cores, bool(slot.gpus), check, self.folder)
                ref = self._remote(slot).remote(task, board.reporter(number, sum(there.values())))
                self._running[ref] = _Running(slot, numbers, number)

    def _remote(self, slot: Slot) -> Any:
        """What runs tasks, on nodes that are not left out."""
        if slot not in self._functions:  # each one is sent to all nodes
            options = {"num_cpus": slot.cores, "num_gpus": slot.gpus, "max_retries": _TRIES - 1, "max_calls": 0}
            self._functions[slot] = self.ray.remote(**options)(_call)
        remote = self._functions[slot]
        if not self.unused:
            return remote.options(name="gpu-pack")
        try:
            others = {_NODE_LABEL: f"!in({','.join(sorted(self.unused))})"}
            return remote.options(name="gpu-pack", label_selector=others)
        except (TypeError, ValueError):
            raise BackendError(
                f"Ray {self.ray.__version__} cannot leave out a node, which newer ones can: take it from the cluster, "
                "and run the same command again to resume"
            ) from None

    def _next(self, slot: Slot, there: Counter[Slot]) -> list[int]:
        """The shards of one task; fewer towards the end, and one that failed alone."""
        share = len(self._waiting) // (_AHEAD * sum(there.values()))
        count = max(1, min(_MOST_SHARDS, share)) if slot.gpus else 1
        numbers: list[int] = []
        while self._waiting and len(numbers) < count:
            if self._waiting[0] in self._alone and numbers:
                break
            numbers.append(self._waiting.popleft())
            if numbers[0] in self._alone:
                break
        return numbers

    def _show(self, there: Counter[Slot], nodes: Sequence[Any], board: BoardClient) -> None:
        self.staging.check()
        gpus = sum(count for slot, count in there.items() if slot.gpus)
        where = f"on {len(nodes)} node{'s' * (len(nodes) != 1)}" if there else "waiting for nodes that can pack"
        detail = where + (f" with {gpus} GPU{'s' * (gpus != 1)}" if gpus else "")
        told = board.read({running.task for running in self._running.values()})
        whole = self._progress
        done, rejected = whole.done + told.done, whole.rejected + told.rejected
        self.on_progress(replace(whole, done=done, rejected=rejected, detail=detail))

    def _collect(self) -> None:
        """Wait a moment for tasks that end."""
        refs, ready = [*self._running], []
        if refs and self.ray.wait(refs, timeout=_POLL_SECONDS)[0]:
            ready, _ = self.ray.wait(refs, num_returns=len(refs), timeout=0)  # on many nodes, many ended meanwhile
        for ref in ready:
            numbers = self._running.pop(ref).numbers
            answer = self._answer(ref, numbers)
            if isinstance(answer, PackResult):
                for shard in answer.shards:
                    self._count(shard)
            elif isinstance(answer, Failure):
                self._failed(numbers, answer)
            else:  # which says nothing about its shards
                self._waiting.extendleft(numbers)
                if answer is not None:
                    self._leave_out(answer)

    def _leave_out(self, node: Unfit) -> None:
        if node.node not in self.unused:
            self.unused.add(node.node)
            _log.warning("%s; it is left out", node.reason)

    def _answer(self, ref: Any, numbers: Sequence[int]) -> PackResult | Failure | Unfit | None:
        """What a task gave; None where its node died."""
        errors = self.ray.exceptions
        try:
            answer: PackResult | Failure | Unfit = self.ray.get(ref)
            return answer
        except (errors.NodeDiedError, errors.TaskUnschedulableError):
            return None
        except errors.WorkerCrashedError:
            error = f"the process that packed it was killed {_TRIES} times, as for want of memory"
            self._failures.update({(number, error): _TRIES for number in numbers})
            return Failure("the cluster", GpuPackError(error))
        except errors.RayError as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            return Failure("the cluster", GpuPackError(lines[-1]))

    def _failed(self, numbers: Sequence[int], failure: Failure) -> None:
        """Try again, each shard alone; or end the run."""
        if isinstance(failure.error, (StrictError, UsageError)):
            raise failure.error
        for number in numbers:
            reason = str(failure.error)
            self._failures[number, reason] += 1
            if self._failures[number, reason] >= _TRIES and len(numbers) == 1:
                raise type(failure.error)(
                    f"shard {number} failed {_TRIES} times, the last time on {failure.host}: {reason}; the same "
                    "command resumes from the shards that are packed"
                ) from failure.error
        self._alone |= {*numbers}
        self._waiting.extend(numbers)

    def _count(self, shard: ShardResult) -> None:
        self._progress.done += shard.records + len(shard.rejects)
        self._progress.rejected += len(shard.rejects)

    def _cancel(self) -> None:
        """End the tasks: they close their files first, as after Ctrl-C."""
        with suppress(Exception):  # a cluster that is gone has no tasks
            refs = [*self._running]
            for ref in refs:
                self.ray.cancel(ref)
            _, left = self.ray.wait(refs, num_returns=len(refs), timeout=_CANCEL_SECONDS) if refs else ([], [])
            for ref in left:
                self.ray.cancel(ref, force=True)


def _call(task: Task, reporter: ProgressReporter) -> PackResult | Failure | Unfit:
    import ray

    return task(ray.get_runtime_context().get_node_id(), reporter)
