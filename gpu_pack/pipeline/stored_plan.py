"""A plan that lies in its output, for processes and machines that pack its shards: plan there, pack, publish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gpu_pack.errors import OutputExistsError
from gpu_pack.output.destination import Destination
from gpu_pack.output.disk_space import free_bytes
from gpu_pack.pipeline import create
from gpu_pack.pipeline.create_policy import CreatePolicy
from gpu_pack.pipeline.options import CreateOptions
from gpu_pack.pipeline.plan import Plan, open_staging
from gpu_pack.pipeline.plan_file import NAME, is_there, load_plan, pack_plan
from gpu_pack.pipeline.report import Report
from gpu_pack.pipeline.results import gather
from gpu_pack.pipeline.run import publish_once, resume_or_begin
from gpu_pack.pipeline.shared_spool import keep_spool
from gpu_pack.pipeline.space import check_plan_space
from gpu_pack.sources.given import GivenImages
from gpu_pack.sources.spool import Spool
from gpu_pack.stores.anchored import anchored
from gpu_pack.types import OnProgress

#: Of a shard, about, where no number of shards is given.
SHARD_BYTES = 256 << 20


def plan_apart(
    sources: Sequence[str] | GivenImages,
    out: str,
    options: CreateOptions,
    spool: Spool,
    on_progress: OnProgress | None = None,
) -> Plan:
    """The plan of a run whose shards other processes pack, on this machine or on others that have the same paths.

    Args:
        spool: others find it as `gpu_pack.pipeline.shared_spool` says.

    Raises:
        GpuPackError: there is nothing that can be packed as asked.
    """
    plan = create.plan(sources, out, options, spool, on_progress, SHARD_BYTES)
    return replace(plan, out=plan.out.absolute(), listing=replace(plan.listing, store=anchored(plan.listing.store)))


def store_plan(sources: Sequence[str], out: str, options: CreateOptions, on_progress: OnProgress | None = None) -> Plan:
    """Plan a run and keep the plan in its output; the same call again keeps what is packed already.

    Raises:
        GpuPackError: see `gpu_pack.errors`.
    """
    with create.open_spool(out, options) as spool:
        plan = plan_apart(sources, out, options, spool, on_progress)
        with plan.open_staging() as staging:
            if staging.finish_publishing() is not None:
                staging.reopen()
            resume_or_begin(plan, CreatePolicy(options.overwrite), staging)
            plan = keep_spool(plan, spool, staging)
            check_plan_space(plan, staging, free_bytes)
            staging.keep_file(NAME, pack_plan(plan, options.overwrite))
    return plan


def publish_stored(destination: Destination, merge: bool = False) -> Report:
    """Publish the shards of the plan in an output, all of which are packed.

    Args:
        merge: join the shards of each split into one file.

    Raises:
        GpuPackError: shards are missing, which are named, or see `gpu_pack.errors`.
    """
    if not is_there(destination) and (report := _publish_rest(destination)) is not None:
        return report
    stored = load_plan(destination)
    plan = stored.whole()
    made = publish_once(plan, CreatePolicy(stored.overwrite, merge), lambda staging: gather(plan, staging))
    return Report.from_json(made)


def _publish_rest(destination: Destination) -> Report | None:
    """Finish a publication that was interrupted after the plan was removed."""
    with open_staging(destination.folder, destination.store) as staging:
        earlier = staging.finish_publishing()
        if earlier is not None:
            return Report.from_json(earlier.report)
        found = staging.published()
        if staging.identity() is None:
            staging.discard()
        if found is not None:
            raise OutputExistsError(f"{destination}: a finished run lies there, and no plan: nothing to publish")
    return None
