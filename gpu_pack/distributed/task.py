"""What runs on the nodes: packing shards of a plan. Errors come back as values."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass, replace
from pathlib import Path

from gpu_pack.distributed.nodes import check_versions
from gpu_pack.errors import GpuPackError, OutputLockedError
from gpu_pack.output.destination import find_destination
from gpu_pack.pipeline.pack_shards import pack_shards
from gpu_pack.pipeline.plan import Plan, versions
from gpu_pack.pipeline.results import PackResult

#: A process of a node that is dead for Ray may pack on for a while.
_LOCKED_SECONDS = 60


@dataclass(frozen=True)
class Failure:
    """Shards that could not be packed on a node."""

    host: str
    error: GpuPackError


@dataclass(frozen=True)
class Task:
    """Packs shards; runs on any node.

    Attributes:
        plan: of these shards alone.
        cores: that the task has; with a GPU, CPU workers are as many as the GPU path wants.
        versions: of the driver.
        staging: of the options.
    """

    plan: Plan
    cores: int | None
    versions: dict[str, str]
    staging: Path | None

    def __call__(self) -> PackResult | Failure:
        """Pack them; those that are packed already stay."""
        try:
            plan = self._here()
            check_versions(platform.node(), versions(plan.spec, plan.device), self.versions)
            return self._pack(plan)
        except GpuPackError as error:
            return Failure(platform.node(), error)

    def _here(self) -> Plan:
        """The plan with this node's cores and folders."""
        plan = self.plan
        device = replace(plan.device, workers=plan.device.workers or self.cores)
        if plan.store is None:
            return replace(plan, device=device)
        folder = find_destination(plan.store.root, plan.store.options, self.staging).folder
        return replace(plan, device=device, out=folder.absolute())

    def _pack(self, plan: Plan) -> PackResult:
        deadline = time.monotonic() + _LOCKED_SECONDS
        while True:
            try:
                return pack_shards(plan)
            except OutputLockedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
