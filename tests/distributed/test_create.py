"""Runs on a real Ray cluster against runs on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

import gpu_pack
from gpu_pack.errors import BackendError, OutputError
from gpu_pack.pipeline.plan import begin
from gpu_pack.types import Progress
from tests.distributed.conftest import RAY
from tests.distributed.runs import OPTIONS, plan_of, run, wait_for
from tests.folders import ENVIRONMENT, command, write_picture
from tests.pipeline.outputs import published
from tests.stores import servers
from tests.stores.buckets import open_bucket


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
    tmp_path: Path,
    s3_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Credentials are the nodes' own: workers that start later have this process's environment.

    The source is spooled, and read by all nodes from the bucket.
    """
    pytest.importorskip("obstore")
    servers.use_s3(monkeypatch, s3_url)
    archive = tmp_path / "many.tar.gz"
    subprocess.run(["tar", "-czf", archive, "-C", source, "."], check=True)
    gpu_pack.create(archive, tmp_path / "one", **OPTIONS)
    environment = {name: os.environ[name] for name in os.environ if name.startswith("AWS_")}
    import ray

    with open_bucket(s3_url) as bucket:
        ray.init(address=cluster.address, runtime_env={"env_vars": environment}, log_to_driver=False)
        try:
            out = f"s3://{bucket.name}/out"
            gpu_pack.create(archive, out, engine="ray", staging=tmp_path / "staging", **OPTIONS)
        finally:
            ray.shutdown()
        found = {name.removeprefix("out/"): data for name, data in bucket.objects().items()}
    expected = published(tmp_path / "one")
    assert found.keys() == expected.keys()
    assert all(found[name] == data for name, data in expected.items() if name != "manifest.json")


def test_a_spool_in_a_folder(cluster: Any, source: Path, tmp_path: Path) -> None:
    """The nodes read what the driver spooled into the output; it is removed at the end."""
    archive = tmp_path / "many.tar.gz"
    subprocess.run(["tar", "-czf", archive, "-C", source, "."], check=True)
    gpu_pack.create(archive, tmp_path / "one", **OPTIONS)
    gpu_pack.create(archive, tmp_path / "out", engine="ray", address=cluster.address, **OPTIONS)
    assert published(tmp_path / "out") == published(tmp_path / "one")
    assert not [*tmp_path.glob("out/.gpu-pack*")]


def test_shards_become_one_file(cluster: Any, source: Path, tmp_path: Path) -> None:
    options: Any = {**OPTIONS, "shards": 3}
    gpu_pack.create(source, tmp_path / "out", engine="ray", address=cluster.address, merge=True, **options)
    gpu_pack.create(source, tmp_path / "one", workers=1, **{**options, "shards": 1})
    for name in ("train.rec", "train.idx", "train.lst", "rejects.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    assert len([*(tmp_path / "out").glob("*.rec")]) == 1


# ---- what dies


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_driver_that_is_stopped_is_resumed(cluster: Any, tmp_path: Path) -> None:
    """By Ctrl-C, then without grace."""
    (tmp_path / "many").mkdir()
    write_picture(tmp_path / "first.jpg", 1)
    for number in range(1500):
        os.link(tmp_path / "first.jpg", tmp_path / f"many/{number}.jpg")
    options: Any = {**OPTIONS, "shards": 30}
    gpu_pack.create(tmp_path / "many", tmp_path / "one", **options)
    engine = ("--engine", "ray", "--address", cluster.address)
    flags = ("--size", 24, "--shards", 30, "--device", "cpu")
    args = command("create", tmp_path / "many", tmp_path / "out", *flags, *engine)
    packed = 0
    for sent, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        driver = subprocess.Popen(args, env={**ENVIRONMENT, **RAY}, stderr=subprocess.PIPE, text=True)
        wait_for(lambda packed=packed: _packed(tmp_path / "out") > packed + 2)
        driver.send_signal(sent)
        said = driver.communicate(timeout=30)[1]
        assert driver.returncode == code
        if sent == signal.SIGINT:
            assert said.endswith("gpu-pack: interrupted; run the same command again to resume\n")
        packed = _packed(tmp_path / "out")
    done = subprocess.run([*args, "--json"], env={**ENVIRONMENT, **RAY}, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert 1500 > report["resumed"] >= packed * 50 and report["packed"] == 1500
    assert published(tmp_path / "out") == published(tmp_path / "one")
    assert "ray" not in done.stderr


def _packed(out: Path) -> int:
    """How many shards are."""
    return len([*out.glob(".gpu-pack/*.done")])


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


def test_doctor_tells_what_each_node_reaches(cluster: Any, source: Path, s3_url: str) -> None:
    """A bucket of another server than the cloud's too."""
    flags = ("--endpoint-url", s3_url, "--anonymous")
    args = command("doctor", source, "/nowhere", "s3://nowhere/photos", "--address", cluster.address, *flags)
    done = subprocess.run(args, env={**ENVIRONMENT, **RAY}, capture_output=True, text=True)
    *nodes, first, bucket, second, _ = done.stdout.splitlines()
    assert len(nodes) == 2 and all(": cpu, " in line and f"gpu-pack {gpu_pack.__version__}" in line for line in nodes)
    assert first == second and "does not reach /nowhere: " in first
    assert "does not reach s3://nowhere/photos: s3://nowhere: there is no such bucket" in bucket
    assert (done.returncode, done.stderr) == (1, "")


def test_no_cluster(source: Path, tmp_path: Path) -> None:
    options: Any = {"engine": "ray", "address": "127.0.0.1:1", **OPTIONS}
    with pytest.raises(BackendError, match=r"address=127.0.0.1:1 \(--address\): no Ray cluster can be used there"):
        gpu_pack.create(source, tmp_path / "out", **options)
