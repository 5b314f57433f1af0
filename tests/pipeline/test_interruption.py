"""Killed, interrupted, out of space, changed meanwhile: the same command resumes, and the result is the same."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gpu_pack
from gpu_pack.errors import BackendError, OutputError, OutputExistsError
from gpu_pack.output.shard_writer import RecordWriter
from gpu_pack.output.staging import Staging
from gpu_pack.pipeline.plan import begin, obstacle
from gpu_pack.types import Entry, Outcome
from tests.folders import ENVIRONMENT, Run, command, write_picture
from tests.pipeline.outputs import published
from tests.pipeline.runs import SMALL, Killed, interrupt_after, pack, plan_of, watched

KILLS = int(os.environ.get("KILL_ROUNDS", "12"))
OPTIONS = gpu_pack.CreateOptions(
    spec=gpu_pack.TransformSpec(size=24),
    division=gpu_pack.Division(shards=2),
    device=gpu_pack.DeviceOptions("cpu", workers=2, batch_size=2),
)
PASS_THROUGH = dataclasses.replace(OPTIONS, spec=gpu_pack.TransformSpec(pass_through=True))


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hundred pictures, some of them bad, so that records and rejects are mixed everywhere."""
    root = tmp_path_factory.mktemp("originals") / "many"
    for number in range(200):
        path = root / f"c{number % 4}" / f"{number:03d}.jpg"
        write_picture(path, number)
        if number % 9 == 4:
            path.write_bytes(path.read_bytes()[:200])
    return root


@pytest.fixture
def many(originals: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals, tmp_path / "many"))


def whole_run(source: Path, folder: Path, options: gpu_pack.CreateOptions) -> dict[str, bytes]:
    """What an undisturbed run publishes."""
    pack(plan_of(source, folder / "undisturbed", options))
    return published(folder / "undisturbed")


@pytest.fixture(scope="module")
def undisturbed(originals: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return whole_run(originals, tmp_path_factory.mktemp("whole"), OPTIONS)


@pytest.fixture(scope="module")
def undisturbed_pass_through(originals: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return whole_run(originals, tmp_path_factory.mktemp("whole"), PASS_THROUGH)


def small_plan(source: Path, out: Path, options: gpu_pack.CreateOptions = OPTIONS) -> Any:
    """A plan whose run flushes and syncs often."""
    return dataclasses.replace(plan_of(source, out, options), writing=SMALL)


class DiskTouches:
    """Counts what changes the disk (writes, syncs, renames, removals), and dies before the n-th."""

    def __init__(self, patch: pytest.MonkeyPatch, die_at: int) -> None:
        self.count, self._die_at = 0, die_at
        for owner, name in (
            (RecordWriter, "flush"), (os, "fsync"), (os, "fdatasync"),
            (Path, "replace"), (Path, "unlink"), (shutil, "rmtree"),
        ):  # fmt: skip
            if hasattr(owner, name):  # os.fdatasync is not everywhere
                patch.setattr(owner, name, self._counting(getattr(owner, name)))

    def _counting(self, real: Any) -> Any:
        def touch(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if self.count > self._die_at:
                raise Killed
            return real(*args, **kwargs)

        return touch


# ---- killed


def test_killed_at_random_moments(many: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    """kill -9, again and again, while it lists, packs and publishes; every time the same command resumes."""
    out = tmp_path / "out"
    args = ("create", many, out, "--size", 24, "--shards", 2, "--device", "cpu", "--quiet")
    rng = random.Random(0)
    start = time.monotonic()
    process = subprocess.run(command(*args[:2], tmp_path / "timed", *args[3:]), env=ENVIRONMENT, check=True)
    whole = time.monotonic() - start
    for _ in range(KILLS):
        process = subprocess.Popen(command(*args), env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
        try:
            _, errors = process.communicate(timeout=rng.uniform(0.4, 1.1) * whole)
        except subprocess.TimeoutExpired:
            process.kill()
            _, errors = process.communicate()
        assert "Traceback" not in errors, errors
        for path in out.glob("*.rec"):
            assert path.read_bytes() == undisturbed[path.name], "a finished name is a finished file"
        if (out / "manifest.json").exists() and not (out / ".gpu-pack").exists():
            break
    else:
        subprocess.run(command(*args), env=ENVIRONMENT, check=True)
    assert published(out) == undisturbed


@pytest.mark.parametrize("step", range(0, 44, 4))
def test_dying_at_each_step(many: Path, undisturbed: dict[str, bytes], tmp_path: Path, step: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        touches = DiskTouches(patch, die_at=step)
        with pytest.raises(Killed):
            pack(small_plan(many, tmp_path / "out"))
    assert touches.count > step
    report = pack(small_plan(many, tmp_path / "out"))
    assert (report.packed, report.rejected) == (178, 22)
    assert published(tmp_path / "out") == undisturbed


@pytest.mark.parametrize("step", range(0, 36, 5))
def test_dying_at_each_step_of_pass_through(
    many: Path, undisturbed_pass_through: dict[str, bytes], tmp_path: Path, step: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        touches = DiskTouches(patch, die_at=step)
        with pytest.raises(Killed):
            pack(small_plan(many, tmp_path / "out", PASS_THROUGH))
    assert touches.count > step
    report = pack(small_plan(many, tmp_path / "out", PASS_THROUGH))
    assert (report.packed, report.rejected, report.packed_by) == (178, 22, {"pass-through": 178})
    assert published(tmp_path / "out") == undisturbed_pass_through


@pytest.mark.parametrize("step", range(12))
def test_dying_while_publishing(many: Path, undisturbed: dict[str, bytes], tmp_path: Path, step: int) -> None:
    """From the decision to publish until the staging folder is gone, also over an earlier run's files."""
    out = tmp_path / "out"
    pack(plan_of(many, out, gpu_pack.CreateOptions(device=OPTIONS.device)))
    with pytest.MonkeyPatch.context() as patch:
        real = Staging.finish_publishing
        touches: list[DiskTouches] = []

        def publishing(self: Staging) -> Any:
            if (self.folder / "publish.json").exists():
                touches.append(DiskTouches(patch, die_at=step))
            return real(self)

        patch.setattr(Staging, "finish_publishing", publishing)
        with pytest.raises(Killed):
            pack(small_plan(many, out), overwrite=True)
    assert touches
    pack(small_plan(many, out), overwrite=True)
    assert published(out) == undisturbed


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize(
    ("sent", "status", "word", "workers"), [("SIGINT", 130, "interrupted", 2), ("SIGTERM", 143, "terminated", 9)]
)
def test_ctrl_c_and_kill_stop_the_run_and_it_resumes(
    many: Path, tmp_path: Path, workers: int, sent: str, status: int, word: str
) -> None:
    for number in range(3000):
        os.link(many / "c0/000.jpg", many / f"c0/x{number}.jpg")
    args = ("create", many, tmp_path / "out", "--size", 24, "--device", "cpu", "--workers", workers)
    process = subprocess.Popen(command(*args), env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    grown = tmp_path / "out/.gpu-pack/train.rec.partial"
    while not grown.exists() or not grown.stat().st_size:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(getattr(signal, sent))
    _, errors = process.communicate(timeout=20)
    assert process.returncode == status
    assert errors.splitlines()[-1] == f"gpu-pack: {word}; run the same command again to resume"
    assert not list((tmp_path / "out").glob("*.rec"))
    done = subprocess.run(command(*args, "--json"), env=ENVIRONMENT, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["resumed"] > 0 and report["packed"] + report["rejected"] == 3200


# ---- power cuts


def another_boot(out: Path) -> list[Path]:
    """Make the journals look as if the system had been restarted since."""
    journals = sorted((out / ".gpu-pack").glob("*.checkpoints"))
    for path in journals:
        path.write_bytes(b"".join([b'"another boot"\n', *path.read_bytes().splitlines(keepends=True)[1:]]))
    return journals


def test_a_power_cut_that_took_the_end_of_a_file(many: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    """After a restart of the machine, only what a checkpoint proves is kept: here the file grew, but zeros arrived."""
    out = tmp_path / "out"
    interrupt_after(many, out, 190, OPTIONS)
    partial = out / ".gpu-pack/train-00001-of-00002.rec.partial"
    data = bytearray(partial.read_bytes())
    data[-5000:-2000] = bytes(3000)
    partial.write_bytes(data)
    assert another_boot(out)
    pack(plan_of(many, out, OPTIONS))
    assert published(out) == undisturbed


def test_after_a_power_cut_and_a_kill_what_the_second_run_wrote_is_kept(
    many: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    interrupt_after(many, out, 60, OPTIONS)
    for journal in another_boot(out):
        with journal.open("ab") as file:
            file.write(b"[99")  # a line that the power cut took half of
    interrupt_after(many, out, 110, OPTIONS)
    report = pack(plan_of(many, out, OPTIONS))
    assert report.resumed > 60, "more than the first run had: 53 good ones among 60, of which few were synced"
    assert published(out) == undisturbed


# ---- what is resumed, and what is not


def test_resuming_redoes_only_what_was_in_flight(many: Path, tmp_path: Path) -> None:
    interrupt_after(many, tmp_path / "out", 150, OPTIONS)
    report = pack(plan_of(many, tmp_path / "out", OPTIONS))
    assert report.resumed > 90, "of some 133 good ones among 150, less what two workers had in hand"


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_staged_lists_that_were_lost_are_written_again(
    many: Path, undisturbed: dict[str, bytes], tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    interrupt_after(many, tmp_path / "out", 90, OPTIONS)
    damage(tmp_path / "out/.gpu-pack/train-00000-of-00002.lst.partial")
    pack(plan_of(many, tmp_path / "out", OPTIONS))
    assert published(tmp_path / "out") == undisturbed


def test_other_options_are_named(many: Path, tmp_path: Path, gpu_pack_command: Run) -> None:
    interrupt_after(many, tmp_path / "out", 50, OPTIONS)
    done = gpu_pack_command("create", many, "out", "--size", 32, "--shards", 2, "--device", "cpu", code=1)
    assert "options.size was 24, is 32" in done.stderr
    done = gpu_pack_command("create", many, "out", "--size", 24, "--seed", 7, "--device", "cpu", code=1)
    assert "options.seed was 100, is 7" in done.stderr and "options.shards was 2, is 1" in done.stderr
    gpu_pack_command("create", many, "out", "--size", 32, "--device", "cpu", "--overwrite")


def test_an_interrupted_overwrite_is_resumed_by_overwrite_only(
    many: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    pack(plan_of(many, out, gpu_pack.CreateOptions(device=OPTIONS.device)))
    before = published(out)
    interrupt_after(many, out, 150, dataclasses.replace(OPTIONS, overwrite=True))
    with pytest.raises(
        OutputExistsError, match="an interrupted one that was to replace it: resume that with overwrite=True"
    ):
        pack(plan_of(many, out, OPTIONS))
    assert (out / "train.rec").read_bytes() == before["train.rec"]
    assert pack(plan_of(many, out, OPTIONS), overwrite=True).resumed > 90
    assert published(out) == undisturbed


def test_a_changed_source_is_noticed_and_named(many: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Staging(out) as staging:
        begin(plan_of(many, out, OPTIONS), staging)
        changed = many / "c1/001.jpg"
        before = changed.stat()
        write_picture(changed, 777)
        assert obstacle(plan_of(many, out, OPTIONS), staging) == "c1/001.jpg changed since it began"
        write_picture(changed, 1)
        os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))
        write_picture(many / "c1/new.jpg", 5)
        assert obstacle(plan_of(many, out, OPTIONS), staging).startswith("the source lists other images now")
        (many / "c1/new.jpg").unlink()
        assert obstacle(plan_of(many, out, OPTIONS), staging) == ""


# ---- what breaks meanwhile


def test_a_file_that_changes_or_goes_between_listing_and_reading(many: Path, tmp_path: Path) -> None:
    def meanwhile(number: int, entry: Entry) -> None:
        if number == 0:
            (many / "c0/000.jpg").unlink()
            (many / "c1/001.jpg").write_bytes(b"longer" * 1000)

    # One worker, so that the first file of the list is the first one read.
    device = dataclasses.replace(OPTIONS.device, workers=1)
    options = dataclasses.replace(OPTIONS, division=gpu_pack.Division(shuffle=False), device=device)
    plan = plan_of(many, tmp_path / "out", options)
    report = pack(watched(plan, meanwhile))
    assert report.rejected == 24
    reasons = (tmp_path / "out/rejects.jsonl").read_text()
    assert "no such file" in reasons and "the file changed while packing" in reasons


def test_a_full_disk_keeps_what_is_written(many: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    real, room = RecordWriter.flush, 8

    def full(self: RecordWriter) -> None:
        nonlocal room
        room -= 1
        if room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RecordWriter, "flush", full)
        with pytest.raises((OutputError, OSError)):
            pack(small_plan(many, tmp_path / "out"))
    assert not list((tmp_path / "out").glob("*.rec"))
    report = pack(plan_of(many, tmp_path / "out", OPTIONS))
    assert report.resumed > 20
    assert published(tmp_path / "out") == undisturbed


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounts a tmpfs as root"
)
def test_a_disk_that_is_really_full(
    many: Path, undisturbed: dict[str, bytes], tmp_path: Path, gpu_pack_command: Run
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        args = ("create", many, small / "out", "--size", 24, "--shards", 2, "--device", "cpu")
        done = gpu_pack_command(*args, code=1)
        assert "no space left on the disk" in done.stderr.splitlines()[-1]
        subprocess.run(["mount", "-o", "remount,size=8m", small], check=True)
        gpu_pack_command(*args)
        assert published(small / "out") == undisturbed
    finally:
        subprocess.run(["umount", small], check=True)


def test_two_runs_into_one_output(many: Path, tmp_path: Path, gpu_pack_command: Run) -> None:
    out = tmp_path / "out"
    with Staging(out):
        done = gpu_pack_command("create", many, out, code=1)
        assert f"another gpu-pack run (process {os.getpid()}) is writing here" in done.stderr
    gpu_pack_command("create", many, out)


def test_a_lock_left_by_a_dead_run_does_not_block(many: Path, tmp_path: Path, gpu_pack_command: Run) -> None:
    (tmp_path / "out/.gpu-pack").mkdir(parents=True)
    (tmp_path / "out/.gpu-pack/lock").write_bytes(b"\0999999999")
    gpu_pack_command("create", many, "out")


def test_a_device_that_breaks_leaves_a_run_to_resume(many: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    from cpu_fallback.worker import CpuWorker

    class Breaks(CpuWorker):
        batches = 0

        def transform(self, images: Any) -> list[Outcome]:
            Breaks.batches += 1
            if Breaks.batches > 20:
                raise BackendError("the device is gone")
            return super().transform(images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cpu_fallback.worker.CpuWorker", Breaks)
        with pytest.raises(BackendError, match="the device is gone"):
            pack(plan_of(many, tmp_path / "out", OPTIONS))
    pack(plan_of(many, tmp_path / "out", OPTIONS))
    assert published(tmp_path / "out") == undisturbed


def test_threads_do_not_outlive_a_failed_run(many: Path, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    interrupt_after(many, tmp_path / "out", 50, OPTIONS)
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not set(threading.enumerate()) - before


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere RLIMIT_AS bounds nothing, or is not there")
def test_little_memory_costs_the_large_image_and_no_other(many: Path, tmp_path: Path) -> None:
    import resource

    write_picture(many / "c0/huge.png", 1, width=12_000, height=12_000)
    limit = 1_400_000_000
    done = subprocess.run(
        command("create", many, tmp_path / "out", "--size", 24, "--device", "cpu", "--workers", 1),
        env={**ENVIRONMENT, "OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    rejects = [json.loads(line) for line in (tmp_path / "out/rejects.jsonl").read_text().splitlines()]
    huge = [line for line in rejects if line["path"] == "c0/huge.png"]
    assert len(rejects) == 22 + len(huge), "22 are cut short; the large one may or may not fit"
    assert all("allocate" in line["reason"] or "memory" in line["reason"] for line in huge)
