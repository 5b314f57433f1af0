"""Killed, interrupted, cut off: the same command resumes from what is up there, on this machine or another."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

import gpu_pack
from gpu_pack.errors import OutputError, OutputExistsError
from tests.folders import ENVIRONMENT, command
from tests.pipeline.runs import pack, plan_of, watched
from tests.pipeline.store.outputs import SHARDS, Output, interrupt, run
from tests.stores.faulty_proxy import Failure, first, proxy

pytest.importorskip("obstore")

KILLS = int(os.environ.get("KILL_ROUNDS", "5"))
DENIED = Failure(status=403, code="AccessDenied")


def test_killed_at_random_moments(out: Output, source: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    """kill -9, again and again; every time the same command resumes."""
    args = ("--size", 24, "--shards", SHARDS, "--device", "cpu", "--workers", 1, "--quiet", "--staging")
    rng = random.Random(1)
    start = time.monotonic()
    whole = command("create", source, f"{out.address}-timed", *args, tmp_path / "other")
    subprocess.run(whole, env=dict(ENVIRONMENT) | dict(os.environ), check=True)
    seconds = time.monotonic() - start
    again = command("create", source, out.address, *args, tmp_path / "here")
    for _ in range(KILLS):
        process = subprocess.Popen(again, env=dict(ENVIRONMENT) | dict(os.environ), stderr=subprocess.PIPE, text=True)
        try:
            _, errors = process.communicate(timeout=rng.uniform(0.4, 1.0) * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            _, errors = process.communicate()
        assert "Traceback" not in errors, errors
        found = out.objects()
        if "manifest.json" in found:
            assert found.items() >= undisturbed.items(), "a dataset with a manifest is whole"
        if found == undisturbed:
            break
    else:
        subprocess.run(again, env=dict(ENVIRONMENT) | dict(os.environ), check=True)
    assert out.objects() == undisturbed
    assert not out.bucket.unfinished() and not out.left()


@pytest.mark.parametrize("requests", [*range(5, 45, 8)])
def test_cut_off_after_each_request(out: Output, source: Path, undisturbed: dict[str, bytes], requests: int) -> None:
    """The network goes for good after so many requests; another machine goes on from what is up there."""
    left = requests

    def failing(method: str, path: str) -> Failure | None:
        nonlocal left
        left -= 1
        return Failure(reset=True) if left < 0 else None

    with proxy(out.bucket.options.endpoint_url or "", failing) as found, pytest.raises(OutputError) as caught:
        run(out, source, out.options("first", found.url))
    assert "connection" in str(caught.value) and "resume" in str(caught.value)
    found_there = out.objects()
    assert "manifest.json" not in found_there
    out.bucket.delete("out/.gpu-pack/lock")  # as if thirty seconds had passed
    report = run(out, source, out.options("second"))
    assert (report.packed, report.rejected) == (36, 4)
    done = [name for name in found_there if name.endswith(".done")]
    assert (report.resumed > 0) == bool(done)
    assert out.objects() == undisturbed and not out.left("second")


def test_shards_that_are_up_are_not_packed_again(out: Output, source: Path, undisturbed: dict[str, bytes]) -> None:
    interrupt(out, source, 2)
    done = out.done()
    assert len(done) >= 2
    read: list[str] = []
    plan = watched(plan_of(source, out.address, out.options("elsewhere")), lambda _, entry: read.append(entry.path))
    report = pack(plan)
    assert len(read) == 40 - 10 * len(done)
    assert report.resumed == 36 - sum(1 for path in read if int(path[3:6]) % 9 != 4)
    assert out.objects() == undisturbed


def test_a_shard_whose_object_is_not_what_was_put_is_packed_again(
    out: Output, source: Path, undisturbed: dict[str, bytes]
) -> None:
    interrupt(out, source, 2)
    out.bucket.put("out/train-00000-of-00004.rec", b"another")
    run(out, source, out.options())
    assert out.objects() == undisturbed


def test_uploads_that_a_killed_run_did_not_finish_are_aborted(
    out: Output, source: Path, undisturbed: dict[str, bytes]
) -> None:
    interrupt(out, source, 1)
    for key in ("out/train-00002-of-00004.rec", "elsewhere/train-00002-of-00004.rec"):
        out.bucket.client.create_multipart_upload(Bucket=out.bucket.name, Key=key)
    run(out, source, out.options())
    assert out.bucket.unfinished() == ["elsewhere/train-00002-of-00004.rec"]
    assert out.objects() == undisturbed


def test_the_other_machines_leftovers_are_thrown_away(out: Output, source: Path, undisturbed: dict[str, bytes]) -> None:
    interrupt(out, source, 1, "first")
    run(out, source, out.options("second"))
    with pytest.raises(OutputExistsError, match="a finished run lies there"):
        run(out, source, out.options("first"))
    assert out.objects() == undisturbed and not out.left("first")


def test_another_run_is_told_apart(out: Output, source: Path) -> None:
    interrupt(out, source, 2)
    other = dataclasses.replace(out.options("elsewhere"), spec=gpu_pack.TransformSpec(size=20))
    with pytest.raises(OutputExistsError, match=r"an interrupted run lies there, and options.size was 24, is 20"):
        run(out, source, other)
    other = dataclasses.replace(other, overwrite=True, division=gpu_pack.Division(shards=2))
    report = run(out, source, other)
    assert report.resumed == 0
    assert {*out.objects()} == {*report.files, "manifest.json"}, "the first run's shards are gone"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_leaves_no_lock_and_resumes(out: Output, source: Path, tmp_path: Path) -> None:
    many = Path(shutil.copytree(source, tmp_path / "many"))
    for number in range(3000):
        os.link(many / "c0/000.jpg", many / f"c0/x{number}.jpg")
    args = ("create", many, out.address, "--size", 24, "--shards", 40, "--device", "cpu", "--staging", tmp_path / "s")
    environment = dict(ENVIRONMENT) | dict(os.environ)
    process = subprocess.Popen(command(*args), env=environment, stderr=subprocess.PIPE, text=True)
    while not out.done():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "gpu-pack: interrupted; run the same command again to resume"
    assert ".gpu-pack/lock" not in out.objects() and "manifest.json" not in out.objects()
    done = subprocess.run(command(*args, "--json"), env=environment, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["resumed"] > 0 and report["packed"] + report["rejected"] == 3040


# ---- what the store answers


def test_a_store_that_is_busy_for_a_moment(out: Output, source: Path, undisturbed: dict[str, bytes]) -> None:
    busy = first(1, Failure(status=503, code="SlowDown"))
    with proxy(out.bucket.options.endpoint_url or "", busy) as found:
        run(out, source, out.options(url=found.url))
    assert out.objects() == undisturbed


def test_a_store_that_denies_is_one_sentence(out: Output, source: Path, undisturbed: dict[str, bytes]) -> None:
    def denying(method: str, path: str) -> Failure | None:
        return DENIED if method == "PUT" and "train-00003" in path else None

    with proxy(out.bucket.options.endpoint_url or "", denying) as found, pytest.raises(OutputError) as caught:
        run(out, source, out.options(url=found.url))
    assert str(caught.value) == (
        f"{out.address}/train-00003-of-00004.rec: cannot be written: access is denied (403 AccessDenied); the same "
        "command resumes the run"
    )
    assert ".gpu-pack/lock" not in out.objects()
    assert run(out, source, out.options()).resumed > 15
    assert out.objects() == undisturbed
