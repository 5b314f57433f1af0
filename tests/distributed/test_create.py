"""Runs on a real Ray cluster against runs on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import gpu_pack
from gpu_pack.distributed.create import run_on_cluster
from gpu_pack.distributed.nodes import Look, NodeFacts
from gpu_pack.errors import BackendError, GpuPackError, OutputError, SourceError
from gpu_pack.pipeline.create_policy import CreatePolicy
from gpu_pack.pipeline.options import create_options
from gpu_pack.pipeline.plan import Plan, begin
from gpu_pack.pipeline.stored_plan import plan_apart
from gpu_pack.types import Progress
from tests.distributed.conftest import NODE, RAY
from tests.distributed.slow_store import SlowStore, readers
from tests.folders import ENVIRONMENT, command, write_picture
from tests.pipeline.outputs import published
from tests.stores import servers
from tests.stores.buckets import open_bucket

OPTIONS: Any = {"size": 24, "shards": 6, "device": "cpu"}


@pytest.fixture(scope="module")
def undisturbed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole") / "out"
    gpu_pack.create(source, out, workers=1, **OPTIONS)
    return published(out)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    (tmp_path / "notes").mkdir()
    return tmp_path / "notes"


def plan_of(source: Path, out: Path, notes: Path | None = None) -> Plan:
    """The plan of a run, with slow files where there are ``notes``."""
    plan = plan_apart([str(source)], str(out), create_options(**OPTIONS))
    if notes is None:
        return plan
    return replace(plan, listing=replace(plan.listing, store=SlowStore(str(source), str(notes))))


def run(cluster: Any, plan: Plan, look: Callable[..., Look] = Look, **more: Any) -> gpu_pack.Report:
    options = create_options(engine="ray", address=cluster.address, **OPTIONS)
    return run_on_cluster(plan, CreatePolicy(**more), options, lambda _: None, look)


def wait_for(condition: Callable[[], Any], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_bytes_are_those_of_one_machine(
    cluster: Any, source: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    seen: list[Progress] = []
    report = gpu_pack.create(
        source,
        tmp_path / "out",
        engine="ray",
        address=cluster.address,
        progress=lambda state: seen.append(Progress(**vars(state))),
        **OPTIONS,
    )
    assert published(tmp_path / "out") == undisturbed
    assert report.packed + report.rejected == report.listed == 60
    assert sum(machine["images"] for machine in report.machines.values()) == 60
    assert [machine["shards"] for machine in report.machines.values()] == ["0-5"]
    assert seen[-1].detail == "on 2 nodes" and seen[-1].total == 60


def test_a_bucket(
    cluster: Any,
    source: Path,
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    s3_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Credentials are the nodes' own: workers that start later have this process's environment."""
    pytest.importorskip("obstore")
    servers.use_s3(monkeypatch, s3_url)
    environment = {name: os.environ[name] for name in os.environ if name.startswith("AWS_")}
    import ray

    with open_bucket(s3_url) as bucket:
        ray.init(address=cluster.address, runtime_env={"env_vars": environment}, log_to_driver=False)
        try:
            out = f"s3://{bucket.name}/out"
            gpu_pack.create(source, out, engine="ray", staging=tmp_path / "staging", **OPTIONS)
        finally:
            ray.shutdown()
        found = {name.removeprefix("out/"): data for name, data in bucket.objects().items()}
    assert found.keys() == undisturbed.keys()
    assert all(found[name] == data for name, data in undisturbed.items() if name != "manifest.json")


def test_shards_become_one_file(cluster: Any, source: Path, tmp_path: Path) -> None:
    options: Any = {**OPTIONS, "shards": 3}
    gpu_pack.create(source, tmp_path / "out", engine="ray", address=cluster.address, merge=True, **options)
    gpu_pack.create(source, tmp_path / "one", workers=1, **{**options, "shards": 1})
    for name in ("train.rec", "train.idx", "train.lst", "rejects.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    assert len([*(tmp_path / "out").glob("*.rec")]) == 1


# ---- what dies


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_process_and_a_killed_node(
    cluster: Any, source: Path, undisturbed: dict[str, bytes], tmp_path: Path, notes: Path
) -> None:
    """Both in mid-shard: others pack their shards."""
    node = cluster.add_node(**NODE)
    done: list[gpu_pack.Report] = []
    thread = threading.Thread(target=lambda: done.append(run(cluster, plan_of(source, tmp_path / "out", notes))))
    thread.start()
    wait_for(lambda: len(readers(notes)) >= 2)
    os.kill(min(readers(notes)), signal.SIGKILL)
    cluster.remove_node(node, allow_graceful=False)
    thread.join(60)
    (report,) = done
    assert report.packed + report.rejected == 60
    assert published(tmp_path / "out") == undisturbed


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("sent", ["SIGKILL", "SIGINT"])
def test_a_driver_that_is_stopped_is_resumed(cluster: Any, tmp_path: Path, sent: str) -> None:
    (tmp_path / "many").mkdir()
    write_picture(tmp_path / "first.jpg", 1)
    for number in range(1500):
        os.link(tmp_path / "first.jpg", tmp_path / f"many/{number}.jpg")
    options: Any = {**OPTIONS, "shards": 30}
    gpu_pack.create(tmp_path / "many", tmp_path / "one", **options)
    engine = ("--engine", "ray", "--address", cluster.address)
    flags = ("--size", 24, "--shards", 30, "--device", "cpu")
    args = command("create", tmp_path / "many", tmp_path / "out", *flags, *engine)
    driver = subprocess.Popen(args, env={**ENVIRONMENT, **RAY}, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(list(tmp_path.glob("out/.gpu-pack/*.done"))) > 2)
    driver.send_signal(getattr(signal, sent))
    said = driver.communicate(timeout=30)[1]
    assert driver.returncode == {"SIGKILL": -9, "SIGINT": 130}[sent]
    if sent == "SIGINT":
        assert said.endswith("gpu-pack: interrupted; run the same command again to resume\n")
    done = subprocess.run([*args, "--json"], env={**ENVIRONMENT, **RAY}, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert 1500 > report["resumed"] > 0 and report["packed"] == 1500
    assert published(tmp_path / "out") == published(tmp_path / "one")
    assert "ray" not in done.stderr


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


def test_a_shard_that_fails_three_times_ends_the_run(
    cluster: Any, source: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """The others are kept, and the same command resumes once the reason is gone."""
    plan = plan_of(source, tmp_path / "out")
    obstacle = tmp_path / "out/.gpu-pack/train-00002-of-00006.idx.partial"
    with plan.open_staging() as staging:
        begin(plan, staging)
    obstacle.mkdir()
    with pytest.raises(OutputError, match=r"shard 2 failed 3 times, the last time on .*idx.partial"):
        run(cluster, plan)
    assert len([*tmp_path.glob("out/.gpu-pack/*.done")]) >= 3
    obstacle.rmdir()
    assert run(cluster, plan).resumed > 20
    assert published(tmp_path / "out") == undisturbed


def test_doctor_tells_what_each_node_reaches(cluster: Any, source: Path) -> None:
    args = command("doctor", source, "/nowhere", "--address", cluster.address)
    done = subprocess.run(args, env={**ENVIRONMENT, **RAY}, capture_output=True, text=True)
    *nodes, first, second = done.stdout.splitlines()
    assert len(nodes) == 2 and all(": cpu, " in line and f"gpu-pack {gpu_pack.__version__}" in line for line in nodes)
    assert first == second and "does not reach /nowhere: " in first
    assert (done.returncode, done.stderr) == (1, "")


def test_no_cluster(source: Path, tmp_path: Path) -> None:
    options: Any = {"engine": "ray", "address": "127.0.0.1:1", **OPTIONS}
    with pytest.raises(BackendError, match=r"address=127.0.0.1:1 \(--address\): no Ray cluster can be used there"):
        gpu_pack.create(source, tmp_path / "out", **options)
