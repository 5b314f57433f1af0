"""What the nodes of a cluster are like, and whether they can pack shards of a plan."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from gpu_pack.console import human_size
from gpu_pack.errors import BackendError, GpuPackError, OutputError, SourceError
from gpu_pack.gpu.capabilities import unsupported
from gpu_pack.output.destination import find_destination
from gpu_pack.output.disk_space import free_bytes
from gpu_pack.pipeline.plan import STAGING, Plan, versions
from gpu_pack.pipeline.space import held_bytes
from gpu_pack.stores.object_folder import ObjectFolder
from gpu_pack.stores.object_store import ObjectStore

#: Threads of one process that pack about as fast as they could; see `gpu_pack.backends`.
_CORES = 8


class Slot(NamedTuple):
    """What a task takes of a node."""

    cores: int
    gpus: int


@dataclass(frozen=True)
class NodeFacts:
    """What a node says of itself.

    Attributes:
        host: its name.
        versions: of the libraries that decide a result's bytes.
        out: why it cannot use the output; empty where it can.
        source: why it cannot read the source; empty where it can.
        folder: in which files grow that go to an object store; None where nodes share the output.
        free: bytes that these may take there, with what they take already.
    """

    host: str
    versions: dict[str, str]
    out: str = ""
    source: str = ""
    folder: Path | None = None
    free: int = 0


@dataclass(frozen=True)
class Look:
    """Runs on each node before the first task.

    Attributes:
        plan: with one image, if there is any.
        token: a file that the driver wrote into the output, and what is in it; None for an object store.
        staging: of the options.
    """

    plan: Plan
    token: tuple[Path, str] | None
    staging: Path | None = None

    def __call__(self) -> NodeFacts:
        """What the node is like; never raises a `GpuPackError`."""
        plan = self.plan
        facts = NodeFacts(platform.node(), versions(plan.spec, plan.device), self.find_out(), self.find_source())
        if plan.store is None:
            return facts
        folder = node_folder(plan.store, self.staging)
        return replace(facts, folder=folder, free=free_bytes(folder) + held_bytes(folder / plan.staging))

    def find_out(self) -> str:
        """See `NodeFacts`."""
        if self.token is None:
            return self._find_store()
        path, text = self.token
        try:
            return "" if path.read_text() == text else f"{path} is another folder there"
        except OSError as error:
            return f"{path.parent.parent}: {error.strerror or error}"

    def _find_store(self) -> str:
        store = self.plan.store
        assert store is not None
        try:
            ObjectFolder(store.folder.below(STAGING), store.options).list()
            return ""
        except GpuPackError as error:
            return str(error)

    def find_source(self) -> str:
        """See `NodeFacts`."""
        listing = self.plan.listing
        if not len(listing):
            return ""
        entry = listing.entry(0)
        path, size = (entry.path, entry.size) if entry.place is None else entry.place.container[:2]
        try:
            found = listing.store.stat(path)
        except GpuPackError as error:
            return str(error)
        return "" if found.size == size or size is None else f"{path} is not there, or is another file"


def check_nodes(found: Sequence[NodeFacts], plan: Plan) -> None:
    """Refuse a cluster whose nodes do not share the folders, or would make other bytes.

    Raises:
        OutputError: a node cannot use the output.
        SourceError: a node cannot read the source.
        BackendError: versions differ.
    """
    expected = versions(plan.spec, plan.device)
    for node in found:
        check_node(node, plan, expected)


def check_node(node: NodeFacts, plan: Plan, expected: dict[str, str]) -> None:
    """Refuse one node; see `check_nodes`.

    Args:
        expected: the driver's versions.
    """
    if node.out:
        raise OutputError(
            f"{plan.place}: node {node.host} does not share it ({node.out}): give a folder that all nodes have, as on "
            "NFS, or the address of an object store"
        )
    if node.source:
        raise SourceError(
            f"{plan.source}: node {node.host} cannot read it ({node.source}): all nodes need it under the same path"
        )
    check_versions(node.host, node.versions, expected)


def check_room(node: NodeFacts, tasks: int, needed: int) -> None:
    """Refuse a node whose disk has no room for the files that grow there before they go up.

    Args:
        tasks: that run there at once.
        needed: bytes that each of them takes.

    Raises:
        OutputError: it is certainly too little.
    """
    if node.folder is not None and tasks * needed > node.free:
        raise OutputError(
            f"{node.folder}: the run needs about {human_size(tasks * needed)} on the disk of node {node.host}, and "
            f"{human_size(node.free)} are free: free some, or choose another folder with staging=DIR (--staging)"
        )


def node_folder(store: ObjectStore, staging: Path | None) -> Path:
    """The folder of this machine in which files grow that go to an object store."""
    return find_destination(store.root, store.options, staging).folder.absolute()


def check_versions(host: str, there: dict[str, str], here: dict[str, str]) -> None:
    """Refuse versions that differ; a library that only one side has is none, as on a node without a GPU.

    Raises:
        BackendError: bytes would differ.
    """
    for name in here.keys() & there.keys():
        if here[name] != there[name]:
            raise BackendError(
                f"node {host} has {name} {there[name]}, and the driver {here[name]}, so that bytes would differ: "
                "install the same versions on all nodes"
            )


def slots(nodes: Iterable[dict[str, Any]], plan: Plan) -> Counter[Slot]:
    """How many tasks of which kind fit on the living nodes, as Ray describes them."""
    device, found = plan.device.device, Counter[Slot]()
    takes_gpus = device != "cpu" and not unsupported(plan.spec)
    for node in alive(nodes):
        resources = node["Resources"]
        cores, gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
        if takes_gpus and gpus:
            found[Slot(max(1, cores // gpus), 1)] += gpus
        elif device in ("auto", "cpu") or not takes_gpus:
            tasks = -(-cores // _CORES)
            found[Slot(cores // tasks, 0)] += tasks
    return found


def alive(nodes: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that live and run tasks: a head node may have no cores for any."""
    return [node for node in nodes if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
