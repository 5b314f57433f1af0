"""What each node of a cluster would run on, and what it can reach."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gpu_pack.distributed.connect import connect
from gpu_pack.distributed.each_node import on_each_node
from gpu_pack.errors import GpuPackError
from gpu_pack.stores.address import StoreOptions, is_address, parse_address
from gpu_pack.stores.open_store import open_store

#: Versions that decide bytes are compared; Python's is told alone.
_NOT_COMPARED = ("Python",)


@dataclass(frozen=True)
class Examination:
    """Runs on each node.

    Attributes:
        diagnose: gives what `gpu-pack doctor` tells of a machine, as plain values.
        places: paths and addresses.
        options: of the stores at addresses.
    """

    diagnose: Callable[[], dict[str, Any]]
    places: tuple[str, ...]
    options: StoreOptions

    def __call__(self) -> dict[str, Any]:
        """The node's name, its diagnosis, and by place why it cannot be reached; empty where it can."""
        reached = {place: _fault(place, self.options) for place in self.places}
        return {"host": platform.node(), **self.diagnose(), "places": reached}


def examine(
    address: str, places: Sequence[str], options: StoreOptions, diagnose: Callable[[], dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[str]]:
    """What each node says, and what is wrong with them together, a sentence each.

    Args:
        address: of the cluster.
        places: paths and addresses that all nodes should reach.
        options: of the stores at addresses.
        diagnose: see `Examination`.

    Raises:
        GpuPackError: no cluster answers, or a node cannot run gpu-pack.
    """
    anchored = tuple(place if is_address(place) else os.path.abspath(place) for place in places)
    with connect(address) as ray:
        answers = on_each_node(ray, Examination(diagnose, anchored, options), see_gpus=True)
    nodes = [said for _, said in answers.found]
    faults = answers.late_names() + [
        f"node {node['host']} does not reach {place}: {reason}"
        for node in nodes
        for place, reason in node["places"].items()
        if reason
    ]
    return nodes, faults + _differences(nodes)


def _differences(nodes: Sequence[dict[str, Any]]) -> list[str]:
    """Libraries of which nodes have different versions; one that a node lacks is none."""
    found: dict[str, set[str]] = {}
    for node in nodes:
        for name, version in node["versions"].items():
            if version is not None and name not in _NOT_COMPARED:
                found.setdefault(name, set()).add(version)
    return [
        f"nodes have {name} {' and '.join(sorted(versions))}: install the same version on all, or bytes would differ"
        for name, versions in found.items()
        if len(versions) > 1
    ]


def _fault(place: str, options: StoreOptions) -> str:
    try:
        if not is_address(place):
            os.stat(place)
            return ""
        address = parse_address(place)
        if address.is_web and open_store(str(address.parent), options).stat(address.name).size < 0:
            return "no such file"
        if not address.is_web:
            open_store(place, options).list("")
        return ""
    except (GpuPackError, OSError) as error:
        return str(error)
