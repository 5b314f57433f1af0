"""`create` on a cluster: plan here, pack there, publish once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from gpu_pack.distributed.connect import connect
from gpu_pack.distributed.each_node import Answers, on_each_node
from gpu_pack.distributed.nodes import Look, NodeFacts, check_nodes, check_room, slots
from gpu_pack.distributed.pack import Packing
from gpu_pack.errors import BackendError, UsageError, told
from gpu_pack.output.disk_space import free_bytes
from gpu_pack.output.staging import Staging
from gpu_pack.pipeline.create import open_spool
from gpu_pack.pipeline.create_policy import CreatePolicy
from gpu_pack.pipeline.options import CreateOptions
from gpu_pack.pipeline.plan import Plan
from gpu_pack.pipeline.report import Report, planned
from gpu_pack.pipeline.results import PackResult
from gpu_pack.pipeline.run import run_with
from gpu_pack.pipeline.shared_spool import share_spool
from gpu_pack.pipeline.space import check_space, space_of_task
from gpu_pack.pipeline.stored_plan import plan_apart
from gpu_pack.sources.given import GivenImages
from gpu_pack.sources.spool import Spool
from gpu_pack.stores.atomic_file import write_atomically
from gpu_pack.types import OnProgress

_TOKEN = "token"
_log = logging.getLogger("gpu_pack")


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
    with open_spool(out, options) as spool:
        plan = plan_apart(sources, out, options, spool, on_progress)
        if options.dry_run:
            return planned(plan, policy.seconds)
        return run_on_cluster(plan, policy, options, on_progress, spool=spool)


def run_on_cluster(
    plan: Plan,
    policy: CreatePolicy,
    options: CreateOptions,
    on_progress: OnProgress,
    look: Callable[[Plan, tuple[Path, str] | None, Path | None], Look] = Look,
    spool: Spool | None = None,
) -> Report:
    """Pack all shards of a plan on a cluster, and publish them.

    Args:
        options: those of the engine.
        look: makes what examines a node, from a plan with one image, the token, and the option ``staging``.
        spool: what the plan has spooled.

    Raises:
        GpuPackError: see `create`.
    """
    with connect(options.address, options.verbose) as ray:

        def pack(staging: Staging) -> PackResult:
            if plan.store is None:
                check_space(plan, staging, free_bytes)
            there = plan if spool is None else share_spool(plan, spool, staging)
            with _token(there, staging) as token:
                looking = look(_one_image(there), token, options.staging)
                unused = _check_nodes(on_each_node(ray, looking), there, staging)
                return Packing(ray, there, staging, on_progress, looking, unused, options.staging).run()

        return Report.from_json(run_with(plan, policy, pack))


def _check_nodes(answers: Answers[NodeFacts], plan: Plan, staging: Staging) -> set[str]:
    """Refuse a cluster that cannot pack; gives the ids of the nodes that are to be left out.

    A node that hangs is no reason against the others, of which there may be hundreds; one that would make other bytes,
    or that its owner believes to share a folder, is found once and mended for all runs.
    """
    check_nodes([facts for _, facts in answers.found], plan)
    if plan.store is not None:
        room = {several: space_of_task(plan, staging, several=several) for several in (False, True)}
        for node, facts in answers.found:
            for slot, count in slots([node], plan).items():
                check_room(facts, count, room[bool(slot.gpus)])
    for sentence in answers.late_names():
        _log.warning("%s, and is left out", sentence)
    if answers.late and not answers.found:
        raise BackendError(f"{answers.late_names()[0]}, nor did any other: `ray status` and its log tell why")
    return {node["NodeID"] for node in answers.late}


def _one_image(plan: Plan) -> Plan:
    """A plan that is small where it is sent."""
    part = plan.part([0])
    return replace(part, listing=part.listing.part(range(min(1, len(part.listing)))))


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
