"""What runs on the nodes: packing shards of a plan. Errors come back as values."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass, replace
from pathlib import Path

from gpu_pack.distributed.nodes import Look, check_node, node_folder
from gpu_pack.errors import GpuPackError, OutputLockedError
from gpu_pack.pipeline.pack_shards import pack_shards
from gpu_pack.pipeline.plan import Plan
from gpu_pack.pipeline.results import PackResult
from gpu_pack.types import OnProgress

#: A process of a node that is dead for Ray may pack on for a while.
_LOCKED_SECONDS = 60
#: The runs for which this process has found its node fit.
_FIT: set[str] = set()


@dataclass(frozen=True)
class Failure:
    """Shards that could not be packed on a node."""

    host: str
    error: GpuPackError


@dataclass(frozen=True)
class Unfit:
    """A node that cannot pack shards of this run, and why; it may have come after the others were looked at."""

    node: str
    reason: str


@dataclass(frozen=True)
class Check:
    """What a node must be like, which each process looks at before its first task of a run.

    Attributes:
        run: a text of this run alone.
        look: see there.
        versions: of the driver.
    """

    run: str
    look: Look
    versions: dict[str, str]

    def __call__(self) -> str:
        """What is wrong with this node; empty where nothing is."""
        if self.run in _FIT:
            return ""
        try:
            check_node(self.look(), self.look.plan, self.versions)
        except GpuPackError as error:
            return str(error)
        _FIT.add(self.run)
        return ""


@dataclass(frozen=True)
class Task:
    """Packs shards; runs on any node.

    Attributes:
        plan: of these shards alone.
        cores: that the task has.
        gpus: whether it has a GPU, beside which CPU workers are as many as the GPU path wants.
        check: of the node.
        staging: of the options.
    """

    plan: Plan
    cores: int
    gpus: bool
    check: Check
    staging: Path | None

    def __call__(self, node: str, on_progress: OnProgress) -> PackResult | Failure | Unfit:
        """Pack them; those that are packed already stay.

        Args:
            node: the id of this one.
            on_progress: see `gpu_pack.pipeline.pack_shards.pack_shards`.
        """
        if fault := self.check():
            return Unfit(node, fault)
        try:
            return self._pack(self._here(), on_progress)
        except GpuPackError as error:
            return Failure(platform.node(), error)

    def _here(self) -> Plan:
        """The plan with this node's cores and folders."""
        plan = self.plan
        workers = plan.device.workers or (None if self.gpus else self.cores)
        device = replace(plan.device, workers=workers, cores=self.cores)
        if plan.store is None:
            return replace(plan, device=device)
        return replace(plan, device=device, out=node_folder(plan.store, self.staging))

    def _pack(self, plan: Plan, on_progress: OnProgress) -> PackResult:
        deadline = time.monotonic() + _LOCKED_SECONDS
        while True:
            try:
                return pack_shards(plan, on_progress=on_progress)
            except OutputLockedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
