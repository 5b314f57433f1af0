"""Run something once on each node of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from gpu_pack.distributed.nodes import alive
from gpu_pack.errors import BackendError

Answer = TypeVar("Answer")
#: Seconds that a node may take: its first process starts meanwhile.
_SECONDS = 120
#: Enough of a GPU to see it.
_GPU_SHARE = 0.001


def on_each_node(ray: Any, call: Callable[[], Answer], *, see_gpus: bool = False) -> list[Answer]:
    """What ``call`` gives on each node that runs tasks; nodes that die meanwhile, and those that come later, lack.

    Args:
        see_gpus: it needs to see a GPU of the node, if that has one.

    Raises:
        BackendError: a node cannot run it.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    remote = ray.remote(num_cpus=0, max_retries=0)(_call)
    refs = []
    for node in alive(ray.nodes()):
        gpus = _GPU_SHARE if see_gpus and node["Resources"].get("GPU", 0) else 0
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        refs.append(remote.options(scheduling_strategy=there, num_gpus=gpus).remote(call))
    ready, late = ray.wait(refs, num_returns=len(refs), timeout=_SECONDS) if refs else ([], [])
    for ref in late:
        ray.cancel(ref, force=True)
    found: list[Answer] = []
    for ref in ready:
        try:
            found.append(ray.get(ref))
        except (ray.exceptions.NodeDiedError, ray.exceptions.TaskUnschedulableError):
            continue
        except ray.exceptions.RayError as error:
            last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise BackendError(f"a node cannot run gpu-pack: {last}: install gpu-pack on all nodes") from None
    return found


def _call(call: Callable[[], Answer]) -> Answer:
    return call()
