"""How `create` publishes; see `gpu_pack.pipeline.run.Policy`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from gpu_pack.errors import OutputExistsError, SourceError
from gpu_pack.formats.classes import NAME as CLASSES
from gpu_pack.formats.classes import format_classes
from gpu_pack.formats.manifest import NAME as MANIFEST
from gpu_pack.formats.manifest import manifest_bytes, published_names
from gpu_pack.formats.rejects import NAME as REJECTS
from gpu_pack.formats.rejects import Reject, reject_line
from gpu_pack.output.identity import differences
from gpu_pack.output.staging import Staging
from gpu_pack.pipeline.faces import FACE_FILES, SPLIT, write_faces
from gpu_pack.pipeline.join_shards import join_shards, joined_names
from gpu_pack.pipeline.pack_shards import refuse_warnings
from gpu_pack.pipeline.plan import Plan, shard_names
from gpu_pack.pipeline.report import account, manifest
from gpu_pack.pipeline.results import PackResult
from gpu_pack.pipeline.run import Publication, all_rejects
from gpu_pack.stores.atomic_file import write_atomically
from gpu_pack.stores.object_requests import count_retries


@dataclass
class CreatePolicy:
    """How create publishes: a manifest, one rejects.jsonl, and never over other files unless asked to.

    Attributes:
        overwrite: replace what an earlier run published.
        merge: join the shards of each split into one file.
    """

    overwrite: bool = False
    merge: bool = False
    _clock: float = field(default_factory=time.monotonic)
    _retries: int = field(default_factory=count_retries)
    _started: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))

    @property
    def seconds(self) -> float:
        """Since this run began."""
        return time.monotonic() - self._clock

    def refuse_outputs(self, plan: Plan, staging: Staging) -> None:
        """See `Policy.refuse_outputs`."""
        found = staging.published()
        interrupted = staging.identity() is not None
        if self.overwrite or (interrupted and found is None):
            return
        try:
            if found is not None:
                raise OutputExistsError(_in_the_way(plan, found, interrupted))
            staging.refuse_existing(self._names(plan, staging=True))
        except OutputExistsError:
            if not interrupted:
                staging.discard()
            raise

    def replace_run(self, plan: Plan, reason: str) -> None:
        """See `Policy.replace_run`."""
        if not self.overwrite:
            raise OutputExistsError(
                f"{plan.place}: an interrupted run lies there, and {reason}: undo that to resume it, or start anew "
                "with overwrite=True (--overwrite)"
            )

    def nothing_packed(self, plan: Plan, rejects: Sequence[Reject]) -> SourceError:
        """See `Policy.nothing_packed`."""
        first = rejects[0]
        return SourceError(
            f"{plan.source}: none of its {len(rejects):,} images can be packed, so nothing was written; "
            f"the first: {first['path']}, at {first['stage']}: {first['reason']}"
        )

    def publication(self, plan: Plan, staging: Staging, packed: PackResult) -> Publication:
        """See `Policy.publication`."""
        rejects = all_rejects(plan, packed)
        report = account(plan, packed, rejects)
        if plan.strict:
            refuse_warnings(report.warnings)
        known = {shard.name + ".rec": shard.digest for shard in packed.shards}
        if plan.target is not None:
            rejects, known["train.rec"] = write_faces(plan, staging, packed, rejects)
            report.splits[SPLIT].shards = ["train.rec"]
        staging.send_finished()
        staging.wait()
        write_atomically(staging.path(REJECTS), b"".join(map(reject_line, rejects)))
        if plan.listing.classes is not None:
            write_atomically(staging.path(CLASSES), format_classes(plan.listing.classes))
        if self.merge:
            for split, joined in join_shards(plan, staging, packed).items():
                report.splits[split].shards = joined
        names = self._names(plan)
        for name in names[:-1]:
            report.files[name] = staging.describe(name, known.get(name))
        report.seconds = packed.seconds or self.seconds
        report.repeated_requests += count_retries() - self._retries
        report.images_per_second = (report.packed + report.rejected - report.resumed) / max(report.seconds, 1e-9)
        document = manifest(report, plan.identity, self._started)
        write_atomically(staging.path(MANIFEST), manifest_bytes(document))
        stale = [*published_names(staging.replaced()), *self._names(plan, staging=True)]
        return Publication(names, stale, report.to_json())

    def _names(self, plan: Plan, staging: bool = False) -> list[str]:
        """What is published; ``staging``: and the names under which files lie in the output before."""
        packed = [name for shard in plan.shards for name in shard_names(shard.name)]
        names = joined_names(plan) if self.merge else packed
        if staging and self.merge and plan.store is not None:
            names = [*dict.fromkeys([*names, *packed])]
        if plan.target is not None:
            names = [*FACE_FILES]
        return [*names, *([CLASSES] if plan.listing.classes is not None else []), REJECTS, MANIFEST]


def _in_the_way(plan: Plan, found: dict[str, Any], interrupted: bool) -> str:
    finished = f"{plan.place}: a finished run lies there ({found.get('packed')} images packed"
    if interrupted:
        return (
            f"{finished}), and an interrupted one that was to replace it: resume that with overwrite=True (--overwrite)"
        )
    now = {name: plan.identity[name] for name in ("versions", "options") if isinstance(found.get(name), dict)}
    others = "".join(f"; {each}" for each in differences({name: found[name] for name in now}, now))
    return f"{finished}{others}): choose another output, or replace it with overwrite=True (--overwrite)"
