"""`create` on a cluster: plan here, pack there, publish once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from gpu_pack.distributed.connect import connect
from gpu_pack.distributed.nodes import Look, NodeFacts, alive, check_nodes
from gpu_pack.distributed.pack import Packing
from gpu_pack.errors import BackendError, UsageError, told
from gpu_pack.output.staging import Staging
from gpu_pack.pipeline.create_policy import CreatePolicy
from gpu_pack.pipeline.options import CreateOptions
from gpu_pack.pipeline.plan import Plan
from gpu_pack.pipeline.report import Report, planned
from gpu_pack.pipeline.results import PackResult
from gpu_pack.pipeline.run import run_with
from gpu_pack.pipeline.stored_plan import plan_apart
from gpu_pack.sources.given import GivenImages
from gpu_pack.stores.atomic_file import write_atomically
from gpu_pack.types import OnProgress

_TOKEN = "token"
#: Seconds that a node may take to say what it is like: its first process starts meanwhile.
_LOOK_SECONDS = 120


def create(
    sources: Sequence[str] | GivenImages,
    out: str,
    options: CreateOptions,
    on_progress: OnProgress,
) -> Report:
    """Pack sources on a Ray cluster; see `gpu_pack.pipeline.create.create`.

    Raises:
        GpuPackError: see `gpu_pack.errors`; shards that are packed stay, and the same call resumes.
    """
    if options.device.gpus is not None:
        raise UsageError(f"{told('gpus', options.device.gpus)}: on a cluster, Ray assigns the GPUs: leave it out")
    policy = CreatePolicy(options.overwrite)
    plan = plan_apart(sources, out, options, on_progress)
    if options.dry_run:
        return planned(plan, policy.seconds)
    return run_on_cluster(plan, policy, options, on_progress)


def run_on_cluster(
    plan: Plan,
    policy: CreatePolicy,
    options: CreateOptions,
    on_progress: OnProgress,
    look: Callable[[Plan, tuple[Path, str] | None], Look] = Look,
) -> Report:
    """Pack all shards of a plan on a cluster, and publish them.

    Args:
        options: those of the engine.
        look: makes what examines a node, from a plan with one shard and the token.

    Raises:
        GpuPackError: see `create`.
    """
    with connect(options.address, options.verbose) as ray:

        def pack(staging: Staging) -> PackResult:
            with _token(plan, staging) as token:
                check_nodes(_look_around(ray, look(plan.part([0]), token)), plan)
            return Packing(ray, plan, staging, on_progress, options.staging).run()

        return Report.from_json(run_with(plan, policy, pack))


@contextmanager
def _token(plan: Plan, staging: Staging) -> Iterator[tuple[Path, str] | None]:
    """A file in the output folder that every node that shares it finds."""
    if plan.store is not None:
        yield None
        return
    path, text = staging.folder / _TOKEN, uuid4().hex
    write_atomically(path, text.encode())
    try:
        yield path, text
    finally:
        path.unlink(missing_ok=True)


def _look_around(ray: Any, look: Look) -> list[NodeFacts]:
    """What each node says of itself; nodes that die meanwhile, and those that come later, are left out."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    remote = ray.remote(num_cpus=0, max_retries=0)(_call)
    refs = [
        remote.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(look)
        for node in alive(ray.nodes())
    ]
    ready, late = ray.wait(refs, num_returns=len(refs), timeout=_LOOK_SECONDS) if refs else ([], [])
    for ref in late:
        ray.cancel(ref, force=True)
    found = []
    for ref in ready:
        try:
            found.append(ray.get(ref))
        except (ray.exceptions.NodeDiedError, ray.exceptions.TaskUnschedulableError):
            continue
        except ray.exceptions.RayError as error:
            last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise BackendError(f"a node cannot run gpu-pack: {last}: install gpu-pack on all nodes") from None
    return found


def _call(look: Look) -> NodeFacts:
    return look()
