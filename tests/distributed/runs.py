"""Runs on a cluster, with files that are read slowly where something is to happen meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gpu_pack
from gpu_pack.distributed.create import run_on_cluster
from gpu_pack.distributed.nodes import Look
from gpu_pack.pipeline.create_policy import CreatePolicy
from gpu_pack.pipeline.options import create_options
from gpu_pack.pipeline.plan import Plan
from gpu_pack.pipeline.stored_plan import plan_apart
from gpu_pack.sources.spool import Spool
from gpu_pack.types import OnProgress
from tests.distributed.slow_store import SlowStore

OPTIONS: Any = {"size": 24, "shards": 6, "device": "cpu"}


def plan_of(source: Path, out: Path, notes: Path | None = None, seconds: float = 0.05, **more: Any) -> Plan:
    """The plan of a run, with slow files where there are ``notes``."""
    plan = plan_apart([str(source)], str(out), create_options(**{**OPTIONS, **more}), Spool(None))
    if notes is None:
        return plan
    return replace(plan, listing=replace(plan.listing, store=SlowStore(str(source), str(notes), seconds)))


def run(
    cluster: Any,
    plan: Plan,
    look: Callable[..., Look] = Look,
    on_progress: OnProgress = lambda _: None,
    **more: Any,
) -> gpu_pack.Report:
    options = create_options(engine="ray", address=cluster.address, **OPTIONS)
    return run_on_cluster(plan, CreatePolicy(**more), options, on_progress, look)


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
