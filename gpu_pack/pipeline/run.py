"""One run, for create and im2rec alike: resume or begin, pack all shards, publish once.

What the two do differently is a `Policy`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gpu_pack.backends import Choice
from gpu_pack.errors import OutputError, OutputExistsError, SourceError, StrictError
from gpu_pack.formats.rejects import Reject, reject
from gpu_pack.output.disk_space import FreeBytes, free_bytes
from gpu_pack.output.identity import plain
from gpu_pack.output.staging import Staging
from gpu_pack.pipeline.pack_shards import pack_into
from gpu_pack.pipeline.plan import Plan, begin, obstacle
from gpu_pack.pipeline.results import PackResult
from gpu_pack.pipeline.space import check_space
from gpu_pack.types import OnProgress


@dataclass(frozen=True)
class Publication:
    """What a run publishes.

    Attributes:
        names: files that lie complete and synced in the staging folder.
        stale: published names of an earlier run that this one replaces.
        report: what the caller gets, as plain JSON values.
    """

    names: Sequence[str]
    stale: Sequence[str]
    report: dict[str, Any]


class Policy(Protocol):
    """What create and im2rec do differently."""

    def refuse_outputs(self, plan: Plan, staging: Staging) -> None:
        """Raise `OutputExistsError` where the run would replace files that it must not."""
        ...

    def replace_run(self, plan: Plan, reason: str) -> None:
        """Another run was interrupted here, and differs for this reason: raise, or return to begin anew."""
        ...

    def nothing_packed(self, plan: Plan, rejects: Sequence[Reject]) -> SourceError:
        """The error for a run in which no image could be packed."""
        ...

    def publication(self, plan: Plan, staging: Staging, packed: PackResult) -> Publication:
        """Write what is published besides the shards, and say what that is."""
        ...


#: Packs all shards of a plan into the staging folder of its run, or tells what did.
Packer = Callable[[Staging], PackResult]


def run(
    plan: Plan, policy: Policy, choice: Choice, on_progress: OnProgress, free: FreeBytes = free_bytes
) -> dict[str, Any]:
    """Pack all shards of a plan and publish them; the same call again resumes an interrupted run.

    Args:
        free: tells how many bytes are free on the disk of a folder.

    Returns:
        The report that `Policy.publication` made.

    Raises:
        GpuPackError: see `gpu_pack.errors`; whatever was written stays, and can be resumed.
    """

    def pack(staging: Staging) -> PackResult:
        check_space(plan, staging, free)
        return pack_into(plan, staging, plan.shards, on_progress, choice)

    return run_with(plan, policy, pack)


def run_with(plan: Plan, policy: Policy, pack: Packer) -> dict[str, Any]:
    """`run`, with the shards packed by ``pack``."""
    with plan.open_staging() as staging:
        if (report := _finish_earlier(plan, staging)) is not None:
            return report
        resume_or_begin(plan, policy, staging)
        try:
            packed = pack(staging)
            _refuse_nothing(plan, policy, staging, packed)
            return _publish(plan, policy, staging, packed)
        except StrictError:
            staging.clear()
            raise


def publish_once(plan: Plan, policy: Policy, results: Packer) -> dict[str, Any]:
    """Publish the shards of a plan that `pack_shards` packed, in one call or in several.

    Args:
        results: gives what packing all of the shards gave.

    Raises:
        GpuPackError: see `run`.
    """
    with plan.open_staging() as staging:
        if (report := _finish_earlier(plan, staging)) is not None:
            return report
        policy.refuse_outputs(plan, staging)
        if staging.identity() is None:
            staging.discard()
            raise OutputError(f"{plan.place}: no shard is packed there: pack them there before they are published")
        if reason := obstacle(plan, staging):
            raise OutputExistsError(f"{plan.place}: shards of another run lie there: {reason}")
        packed = results(staging)
        _refuse_nothing(plan, policy, staging, packed)
        return _publish(plan, policy, staging, packed)


def _finish_earlier(plan: Plan, staging: Staging) -> dict[str, Any] | None:
    """Finish a publication that was interrupted; its report, if it was this very run's."""
    earlier = staging.finish_publishing()
    if earlier is None:
        return None
    staging.reopen()
    if earlier.identity != plain(plan.identity):
        return None
    staging.discard()
    return earlier.report


def _publish(plan: Plan, policy: Policy, staging: Staging, packed: PackResult) -> dict[str, Any]:
    """Give all files their final names; every shard of the plan is packed."""
    made = policy.publication(plan, staging, packed)
    staging.publish(made.names, made.stale, made.report)
    return made.report


def resume_or_begin(plan: Plan, policy: Policy, staging: Staging) -> None:
    """Make the staging folder one of this plan's run; see `run` for errors."""
    policy.refuse_outputs(plan, staging)
    if staging.identity() is not None:
        reason = obstacle(plan, staging)
        if not reason:
            return
        policy.replace_run(plan, reason)
    begin(plan, staging)


def _refuse_nothing(plan: Plan, policy: Policy, staging: Staging, packed: PackResult) -> None:
    """A wrong root must not become an empty dataset that looks finished."""
    rejects = all_rejects(plan, packed)
    if rejects and not any(shard.records for shard in packed.shards):
        staging.clear()
        staging.discard()
        raise policy.nothing_packed(plan, rejects)


def all_rejects(plan: Plan, packed: PackResult) -> list[Reject]:
    """Every image that was not packed: those that no list can name, then the others in the lists' order."""
    early = [reject(rejected, None) for rejected in plan.listing.rejects]
    return early + [value for shard in packed.shards for value in shard.rejects]
