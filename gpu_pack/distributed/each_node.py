"""Run something once on each node of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gpu_pack.distributed.nodes import alive
from gpu_pack.errors import BackendError

Answer = TypeVar("Answer")
#: Seconds that a node may take: its first process starts meanwhile.
_SECONDS = 120
#: Enough of a GPU to see it.
_GPU_SHARE = 0.001


@dataclass(frozen=True)
class Answers(Generic[Answer]):
    """What nodes gave.

    Attributes:
        found: the nodes that answered, as Ray describes them, with their answers.
        late: those that did not in time.
    """

    found: Sequence[tuple[dict[str, Any], Answer]]
    late: Sequence[dict[str, Any]]

    def late_names(self) -> list[str]:
        """A half sentence for each node that did not answer."""
        return [f"node {name_of(node)} did not answer within {_SECONDS:g} s" for node in self.late]


def name_of(node: dict[str, Any]) -> str:
    """A node's name, from what Ray tells of it."""
    return str(node.get("NodeManagerHostname") or node["NodeManagerAddress"])


def on_each_node(ray: Any, call: Callable[[], Answer], *, see_gpus: bool = False) -> Answers[Answer]:
    """What ``call`` gives on each node that runs tasks; nodes that die meanwhile, and those that come later, lack.

    Args:
        see_gpus: it needs to see a GPU of the node, if that has one.

    Raises:
        BackendError: a node cannot run it.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    remote = ray.remote(num_cpus=0, max_retries=0)(_call)
    asked = {}
    for node in alive(ray.nodes()):
        gpus = _GPU_SHARE if see_gpus and node["Resources"].get("GPU", 0) else 0
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked[remote.options(scheduling_strategy=there, num_gpus=gpus).remote(call)] = node
    ready, late = ray.wait([*asked], num_returns=len(asked), timeout=_SECONDS) if asked else ([], [])
    for ref in late:
        ray.cancel(ref, force=True)
    found: list[tuple[dict[str, Any], Answer]] = []
    for ref in ready:
        try:
            found.append((asked[ref], ray.get(ref)))
        except (ray.exceptions.NodeDiedError, ray.exceptions.TaskUnschedulableError):
            continue
        except ray.exceptions.RayError as error:
            last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise BackendError(f"a node cannot run gpu-pack: {last}: install gpu-pack on all nodes") from None
    return Answers(found, [asked[ref] for ref in late])


def _call(call: Callable[[], Answer]) -> Answer:
    return call()
