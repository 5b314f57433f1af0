"""A Ray that packs nothing, on a clock of its own; and what a real one takes of a driver."""

from __future__ import annotations

import heapq
import json
import os
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gpu_pack.distributed.task import Task
from gpu_pack.output.staging import Staging
from gpu_pack.pipeline.results import PackResult, ShardResult

#: Of a node.
CORES = 8
HERE = Path(__file__).parent


def core_speed() -> float:
    """Images that a core packs in a second, as measured on photographs with create's own options."""
    found = json.loads((HERE / "results/bench.json").read_text())
    photographs = next(each for each in found["workloads"] if each["name"] == "imagenet")
    of_create = next(each for each in photographs["rows"] if each["contender"] == "gpu-pack")
    return float(of_create["per_second_after_start"] / found["machine"]["cores"])


class _Error(Exception):
    """What Ray would raise."""


@dataclass
class PretendedRay:
    """As much of Ray as `Packing` uses, on a clock of its own.

    Attributes:
        nodes_: how many, of 8 cores each, which one task takes.
        staging: where finished shards are noted.
        costs: see `ray_costs`.
        now: seconds since the start.
        busy: of which the driver's processor was.
        of_ray: and in Ray.
        speed: images a second of a node.
    """

    nodes_: int
    staging: Staging
    costs: dict[str, float]
    now: float = 0.0
    busy: float = 0.0
    of_ray: float = 0.0
    exceptions: Any = field(
        default_factory=lambda: SimpleNamespace(
            NodeDiedError=_Error, TaskUnschedulableError=_Error, WorkerCrashedError=_Error, RayError=_Error
        )
    )
    speed: float = field(default_factory=lambda: core_speed() * CORES)
    _left: float = field(default_factory=time.process_time)
    _numbers: Iterator[int] = field(default_factory=count)
    _ends: list[tuple[float, int]] = field(default_factory=list)
    _ready: dict[int, None] = field(default_factory=dict)
    _results: dict[int, PackResult] = field(default_factory=dict)
    _places: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._places = [0.0] * self.nodes_

    def nodes(self) -> list[dict[str, Any]]:
        with self._inside(self.costs["nodes"]):
            pass
        return [{"NodeID": str(n), "Alive": True, "Resources": {"CPU": float(CORES)}} for n in range(self.nodes_)]

    def remote(self, **_: Any) -> Callable[[Any], PretendedRay._Remote]:
        return lambda _: PretendedRay._Remote(self)

    @dataclass
    class _Remote:
        ray: PretendedRay

        def options(self, **_: Any) -> PretendedRay._Remote:
            return self

        def remote(self, *given: Any) -> Any:
            """Run a task; or start the board, to which nobody reports."""
            return self.ray.submit(given) if given else SimpleNamespace(read=SimpleNamespace(remote=lambda _: None))

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(get_node_id=lambda: "00" * 28)

    def kill(self, actor: Any) -> None:
        pass

    def submit(self, given: tuple[Task, Any]) -> int:
        """Run a task as soon as a node is free."""
        task, _ = given
        data = pickle.dumps(task, protocol=5)  # as Ray does: in the driver's time
        with self._inside(self.costs["submit"] + len(data) * self.costs["submit_byte"]):
            number = next(self._numbers)
            images = sum(len(shard.rows) for shard in task.plan.shards)
            end = max(self.now, heapq.heappop(self._places)) + images / self.speed
            heapq.heappush(self._places, end)
            heapq.heappush(self._ends, (end, number))
            shards = tuple(self._packed(shard.name, len(shard.rows)) for shard in task.plan.shards)
            self._results[number] = PackResult(shards, "cpu", "pretended", CORES, seconds=1.0)
            return number

    def wait(self, refs: Sequence[int], num_returns: int = 1, timeout: float = 0) -> tuple[list[int], list[int]]:
        with self._inside(self.costs["wait_ref"] * len(refs)):
            limit = self.now + timeout
            while self._ends and self._ends[0][0] <= (self.now if len(self._ready) >= num_returns else limit):
                end, number = heapq.heappop(self._ends)
                self.now = max(self.now, end)
                self._ready[number] = None
            if len(self._ready) < num_returns:
                self.now = limit
            return [*islice(self._ready, num_returns)], []

    def get(self, ref: int) -> PackResult:
        with self._inside(self.costs["get"]):
            del self._ready[ref]
            data = pickle.dumps(self._results.pop(ref), protocol=5)
        found: PackResult = pickle.loads(data)
        return found

    def leave(self) -> None:
        """Count the driver's time since it was here last."""
        with self._inside(0):
            pass

    def _packed(self, name: str, images: int) -> ShardResult:
        result = ShardResult(name, images, images * 17_000, "0" * 64, {"cpu": images}, ())
        (self.staging.folder / f"{name}.done").write_text(json.dumps({"files": {}, "result": result.to_json()}))
        return result

    @contextmanager
    def _inside(self, of_ray: float) -> Iterator[None]:
        """Not the driver's time, but for what Ray takes of it."""
        driver = time.process_time() - self._left + of_ray
        self.now, self.busy, self.of_ray = self.now + driver, self.busy + driver, self.of_ray + of_ray
        yield
        self._left = time.process_time()


def ray_costs() -> dict[str, float]:
    """Seconds of processor time that Ray takes of a driver: for each task and byte of it, result, and so on."""
    import ray

    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False, object_store_memory=1 << 30)
    try:
        remote = ray.remote(num_cpus=1, max_calls=0)(_nothing)
        ray.get(remote.remote(b""))

        def submit(size: int, tasks: int) -> float:
            data = os.urandom(size)
            before = time.process_time()
            refs = [remote.remote(data) for _ in range(tasks)]
            seconds = (time.process_time() - before) / tasks
            ray.get(refs)
            return seconds

        small, large = submit(1000, 300), submit(1 << 20, 300)
        refs = [remote.remote(b"") for _ in range(300)]
        get = _timed(lambda: ray.get(refs)) / 300
        waiting = [remote.remote(b"") for _ in range(2000)]
        wait = _timed(lambda: ray.wait(waiting, num_returns=2000, timeout=0)) / 2000
        nodes = _timed(lambda: [ray.nodes() for _ in range(20)]) / 20
    finally:
        ray.shutdown()
    per_byte = max(0.0, large - small) / (1 << 20)
    return {"submit": small, "submit_byte": per_byte, "get": get, "wait_ref": wait, "nodes": nodes}


def _nothing(data: bytes) -> None:
    pass


def _timed(call: Callable[[], Any]) -> float:
    before = time.process_time()
    call()
    return time.process_time() - before
