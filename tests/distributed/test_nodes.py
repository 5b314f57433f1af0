"""Nodes that come, go, hang, or cannot pack."""

from __future__ import annotations

import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import gpu_pack
from gpu_pack.backends import DeviceOptions
from gpu_pack.distributed import create, pack
from gpu_pack.distributed.board import BoardClient
from gpu_pack.distributed.each_node import on_each_node
from gpu_pack.distributed.nodes import Look, NodeFacts, check_room
from gpu_pack.distributed.task import Check, Task
from gpu_pack.errors import BackendError, GpuPackError, OutputError, SourceError
from gpu_pack.types import Progress
from tests.distributed.conftest import NODE
from tests.distributed.runs import OPTIONS, plan_of, run, wait_for
from tests.distributed.slow_store import FAST, SlowStore, nodes, readers
from tests.pipeline.outputs import published


@pytest.fixture(scope="module", autouse=True)
def connected(cluster: Any) -> Iterator[None]:
    """One connection for all: for each, nodes start other processes."""
    import ray

    ray.init(address=cluster.address, log_to_driver=False, logging_level="CRITICAL")
    yield
    ray.shutdown()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_nodes_and_processes_come_and_go(
    cluster: Any,
    source: Path,
    tmp_path: Path,
    notes: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In mid-shard, a process, a node and the board die; another node is used as soon as it is there.

    A shard has 75 images, of which a worker takes 32 at once.
    """
    for number in range(20):
        shutil.copytree(source, tmp_path / "many", dirs_exist_ok=True, copy_function=partial(_link, number))
    gpu_pack.create(tmp_path / "many", tmp_path / "one", **{**OPTIONS, "shards": 16})
    boards: list[BoardClient] = []
    monkeypatch.setattr(pack, "BoardClient", lambda ray: boards.append(BoardClient(ray)) or boards[0])
    going = cluster.add_node(**NODE)
    seen: list[int] = []
    done: list[gpu_pack.Report] = []
    plan = plan_of(tmp_path / "many", tmp_path / "out", notes, 0.1, shards=16)
    thread = threading.Thread(
        target=lambda: done.append(run(cluster, plan, on_progress=lambda state: seen.append(state.done)))
    )
    thread.start()
    wait_for(lambda: len(readers(notes)) >= 2)
    os.kill(min(readers(notes)), signal.SIGKILL)
    cluster.remove_node(going, allow_graceful=False)
    before = nodes(notes)
    boards[0]._ray.kill(boards[0]._board, no_restart=False)
    told = len(seen)
    wait_for(lambda: {count % 75 for count in seen[told:]} - {0})  # progress inside of shards
    coming = cluster.add_node(**NODE)
    wait_for(lambda: nodes(notes) - before)
    (notes / FAST).touch()
    thread.join(60)
    (report,) = done
    cluster.remove_node(coming)
    assert report.packed + report.rejected == 1200
    assert published(tmp_path / "out") == published(tmp_path / "one")
    assert max(seen) <= 1200


def _link(number: int, found: str, wanted: str) -> None:
    os.link(found, wanted.replace(".jpg", f"-{number}.jpg"))


def test_a_node_with_a_gpu_packs_several_shards_a_task(cluster: Any, source: Path, tmp_path: Path, notes: Path) -> None:
    """Ray believes in a GPU that is none: ``auto`` takes that node's cores, and the others too."""
    options = {**OPTIONS, "shards": 20, "device": "auto"}
    gpu_pack.create(source, tmp_path / "one", **options)
    node = cluster.add_node(**{**NODE, "num_gpus": 1})
    states: list[Progress] = []
    try:
        plan = plan_of(source, tmp_path / "out", notes, **options)
        report = run(cluster, plan, on_progress=states.append)
    finally:
        cluster.remove_node(node)
    assert published(tmp_path / "out") == published(tmp_path / "one")
    assert states[-1].detail == "on 3 nodes with 1 GPU"
    assert (report.device, len(nodes(notes))) == ("cpu", 3)


# ---- nodes that are left out


@dataclass(frozen=True)
class OddLook(Look):
    """Sees one node as it is not: the first for which it is called."""

    def __call__(self) -> NodeFacts:
        import ray

        assert self.token is not None
        mark = self.token[0].with_suffix(".odd")
        node = ray.get_runtime_context().get_node_id()
        try:
            with mark.open("x") as file:
                file.write(node)
        except FileExistsError:
            if mark.read_text() != node:
                return super().__call__()
        return self.odd(super().__call__(), bool(ray.get_runtime_context().get_assigned_resources()))

    def odd(self, facts: NodeFacts, packs: bool) -> NodeFacts:
        """What it says of that node, before the run and before its first task there."""
        raise NotImplementedError


class Hanging(OddLook):
    def odd(self, facts: NodeFacts, packs: bool) -> NodeFacts:
        assert not packs
        time.sleep(600)
        return facts


@dataclass(frozen=True)
class Impatient:
    """Ray, whose `wait` is over as soon as all tasks but one are."""

    ray: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ray, name)

    def wait(self, refs: list[Any], num_returns: int, timeout: float) -> Any:
        return self.ray.wait(refs, num_returns=num_returns - 1, timeout=timeout)


class UnfitLater(OddLook):
    """As one that came meanwhile would be."""

    def odd(self, facts: NodeFacts, packs: bool) -> NodeFacts:
        return replace(facts, out="no such folder") if packs else facts


@pytest.mark.parametrize(
    ("look", "warning"),
    [
        (Hanging, "node .* did not answer within 120 s, and is left out"),
        (UnfitLater, r".*: node .* does not share it \(no such folder\): .*; it is left out"),
    ],
)
def test_a_node_that_is_left_out(
    cluster: Any,
    source: Path,
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    notes: Path,
    look: type[Look],
    warning: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if look is Hanging:
        monkeypatch.setattr(create, "on_each_node", lambda ray, call: on_each_node(Impatient(ray), call))
    states: list[Progress] = []
    run(cluster, plan_of(source, tmp_path / "out", notes, 0), look, states.append)
    assert published(tmp_path / "out") == undisturbed
    assert len(nodes(notes)) == 1 and states[-1].detail == "on 1 node"
    (said,) = (record.getMessage() for record in caplog.records if record.name == "gpu_pack")
    assert re.fullmatch(warning, said)


# ---- clusters that cannot do it


@dataclass(frozen=True)
class ChangedLook(Look):
    """Sees one node as it is not: the first that looks."""

    def __call__(self) -> NodeFacts:
        assert self.token is not None
        try:
            self.token[0].with_suffix(".first").touch(exist_ok=False)
        except FileExistsError:
            return super().__call__()
        return self.change(super().__call__())

    def change(self, facts: NodeFacts) -> NodeFacts:
        raise NotImplementedError


class WithoutFolder(ChangedLook):
    def find_out(self) -> str:
        return Look(self.plan, (Path("/nowhere/.gpu-pack/token"), "")).find_out()

    def change(self, facts: NodeFacts) -> NodeFacts:
        return facts


class WithoutSource(ChangedLook):
    def change(self, facts: NodeFacts) -> NodeFacts:
        listing = replace(self.plan.listing, store=SlowStore("/nowhere"))
        return replace(facts, source=Look(replace(self.plan, listing=listing), self.token).find_source())


class WithOtherVersions(ChangedLook):
    def change(self, facts: NodeFacts) -> NodeFacts:
        return replace(facts, versions={**facts.versions, "opencv": "4.0.0", "nvjpeg": "1"})


@pytest.mark.parametrize(
    ("look", "kind", "message"),
    [
        (WithoutFolder, OutputError, "does not share it .*: give a folder that all nodes have, as on NFS, or the addr"),
        (WithoutSource, SourceError, r"cannot read it \(.* is not there, or is another file\): all nodes need it"),
        (WithOtherVersions, BackendError, "has opencv 4.0.0, and the driver .*, so that bytes would differ"),
    ],
)
def test_nodes_that_cannot_pack_are_found_before_the_first_task(
    cluster: Any, source: Path, tmp_path: Path, look: type[Look], kind: type[GpuPackError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        run(cluster, plan_of(source, tmp_path / "out"), look)
    assert not [*tmp_path.glob("out/.gpu-pack/*.partial")]


def test_a_shared_folder_without_room(
    cluster: Any, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(create, "free_bytes", lambda _: 1000)
    with pytest.raises(OutputError, match=r"out/.gpu-pack: the run needs about .* and 1.0 kB are free"):
        run(cluster, plan_of(source, tmp_path / "out"))


def test_a_node_without_room_for_what_goes_to_a_bucket() -> None:
    facts = NodeFacts("far", {}, folder=Path("/staging"), free=3000)
    check_room(facts, 3, 1000)
    with pytest.raises(OutputError, match=r"/staging: .* 4.0 kB on the disk of node far, and 3.0 kB are free"):
        check_room(facts, 4, 1000)


def test_a_task_keeps_to_its_cores(source: Path, tmp_path: Path) -> None:
    """Those of a GPU's task too, whose CPU workers are as many as the GPU path wants."""
    plan = plan_of(source, tmp_path / "out").part([0])
    check = Check("run", Look(plan, None), {})

    def device(gpus: bool) -> DeviceOptions:
        return Task(plan, 3, gpus, check, None)._here().device

    assert (device(False).workers, device(False).cores) == (3, 3)
    assert (device(True).workers, device(True).cores) == (None, 3)
