"""Hand out a plan's shards to a cluster, and see that each one is packed."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gpu_pack.distributed.nodes import Slot, alive, slots
from gpu_pack.distributed.task import Failure, Task
from gpu_pack.errors import GpuPackError, StrictError, UsageError
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
_CANCEL_SECONDS = 10.0


@dataclass
class Packing:
    """The shards of one plan on one cluster.

    Attributes:
        ray: the module, connected.
        plan: all of it.
        staging: of its run, which has begun.
        on_progress: called twice a second.
        folder: the option ``staging``.
    """

    ray: Any
    plan: Plan
    staging: Staging
    on_progress: OnProgress
    folder: Path | None = None
    _waiting: deque[int] = field(default_factory=deque)
    _running: dict[Any, tuple[Slot, list[int]]] = field(default_factory=dict)
    _failures: Counter[tuple[int, str]] = field(default_factory=Counter)
    _alone: set[int] = field(default_factory=set)
    _progress: Progress = field(default_factory=Progress)

    def run(self) -> PackResult:
        """Pack what is not packed yet; gives what the whole run did.

        Raises:
            GpuPackError: a shard failed three times for the same reason; the others stay.
        """
        before = self._find_before()
        try:
            while self._waiting or self._running:
                there = slots(self.ray.nodes(), self.plan)
                self._take_back(there)
                self._submit(there)
                self._show(there)
                self._collect()
        except BaseException:
            self._cancel()
            raise
        packed = gather(self.plan, self.staging)
        resumed = (replace(each, resumed=each.records) if each.name in before else each for each in packed.shards)
        return replace(packed, shards=tuple(resumed), seconds=0.0)

    def _find_before(self) -> set[str]:
        """The shards that are packed already."""
        unlistable = len(self.plan.listing.unlistable)
        images = sum(len(shard.rows) for shard in self.plan.shards)
        self._progress = Progress(unlistable, images + unlistable, rejected=unlistable)
        before = set()
        for number, shard in enumerate(self.plan.shards):
            found = self.staging.result(shard.name)
            if found is None:
                self._waiting.append(number)
            else:
                before.add(shard.name)
                self._count(ShardResult.from_json(found))
        return before

    def _take_back(self, there: Counter[Slot]) -> None:
        """Shards that wait for a kind of node of which none lives any more."""
        for ref, (slot, numbers) in [*self._running.items()]:
            if there and slot not in there:
                self.ray.cancel(ref)
                del self._running[ref]
                self._waiting.extendleft(numbers)

    def _submit(self, there: Counter[Slot]) -> None:
        """Keep every place busy, GPUs first."""
        expected = versions(self.plan.spec, self.plan.device)
        for slot in sorted(there, key=lambda slot: -slot.gpus):
            running = sum(kind == slot for kind, _ in self._running.values())
            for _ in range(_AHEAD * there[slot] - running):
                numbers = self._next(slot, there)
                if not numbers:
                    return
                cores = slot.cores if not slot.gpus else None
                task = Task(self.plan.part(numbers), cores, expected, self.folder)
                remote = self.ray.remote(num_cpus=slot.cores, num_gpus=slot.gpus, max_retries=_TRIES - 1, max_calls=0)
                self._running[remote(_call).options(name="gpu-pack").remote(task)] = (slot, numbers)

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

    def _show(self, there: Counter[Slot]) -> None:
        self.staging.check()
        nodes = len(alive(self.ray.nodes()))
        gpus = sum(count for slot, count in there.items() if slot.gpus)
        where = f"on {nodes} node{'s' * (nodes != 1)}" if there else "waiting for nodes that can pack"
        self._progress.detail = where + (f" with {gpus} GPU{'s' * (gpus != 1)}" if gpus else "")
        self.on_progress(self._progress)

    def _collect(self) -> None:
        """Wait a moment for tasks that end."""
        refs, ready = [*self._running], []
        if refs and self.ray.wait(refs, timeout=_POLL_SECONDS)[0]:
            ready, _ = self.ray.wait(refs, num_returns=len(refs), timeout=0)  # on many nodes, many ended meanwhile
        for ref in ready:
            _, numbers = self._running.pop(ref)
            answer = self._answer(ref, numbers)
            if isinstance(answer, PackResult):
                for shard in answer.shards:
                    self._count(shard)
            elif answer is not None:
                self._failed(numbers, answer)

    def _answer(self, ref: Any, numbers: Sequence[int]) -> PackResult | Failure | None:
        """What a task gave; None where its node died, which says nothing about its shards."""
        errors = self.ray.exceptions
        try:
            answer: PackResult | Failure = self.ray.get(ref)
            return answer
        except errors.NodeDiedError:
            self._waiting.extendleft(numbers)
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


def _call(task: Task) -> PackResult | Failure:
    return task()
