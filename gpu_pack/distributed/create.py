"""`create` on a cluster: plan here, pack there, publish once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from gpu_pack.distributed.connect import connect
from gpu_pack.distributed.each_node import on_each_node
from gpu_pack.distributed.nodes import Look, check_nodes
from gpu_pack.distributed.pack import Packing
from gpu_pack.errors import UsageError, told
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
    policy = CreatePolicy(options.overwrite, options.merge)
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
                check_nodes(on_each_node(ray, look(plan.part([0]), token)), plan)
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
