"""Killed, interrupted, out of space, changed under way: the same command goes on, and the result is the same."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import gpu_pack
from gpu_pack.errors import BackendError, OutputError, OutputExistsError
from gpu_pack.output import shard_writer, staging
from gpu_pack.pipeline import create, engine, pack_shards, pass_through
from gpu_pack.stores import atomic_file, local
from gpu_pack.types import Outcome
from tests.folders import ENVIRONMENT, Run, command, write_picture
from tests.pipeline.test_create import published

KILLS = int(os.environ.get("KILL_ROUNDS", "12"))
OPTIONS = gpu_pack.CreateOptions(
    spec=gpu_pack.TransformSpec(size=24),
    division=gpu_pack.Division(shards=2),
    device=gpu_pack.DeviceOptions("cpu", workers=2, batch_size=2),
)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Two hundred pictures, some of them bad, so that records and rejects are mixed everywhere."""
    root = tmp_path / "many"
    for number in range(200):
        path = root / f"c{number % 4}" / f"{number:03d}.jpg"
        write_picture(path, number)
        if number % 9 == 4:
            path.write_bytes(path.read_bytes()[:200])
    return root


@pytest.fixture
def undisturbed(many: Path, tmp_path: Path) -> dict[str, bytes]:
    gpu_pack.create(many, tmp_path / "undisturbed", OPTIONS)
    return published(tmp_path / "undisturbed")


class Killed(BaseException):
    """What a process that dies does not catch; raised in tests in place of the kill."""


@pytest.fixture
def small_flushes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records reach the file in small batches, and are synced often, as in a run of hours."""
    make_flushes_small(monkeypatch)


def make_flushes_small(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine, "_RIPE", 2)
    patch.setattr(shard_writer, "_FLUSH_BYTES", 3000)
    patch.setattr(shard_writer, "_SYNC_BYTES", 9000)


def test_killed_at_random_moments(many: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    """kill -9, again and again, while it lists, packs and publishes; every time the same command goes on."""
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


@pytest.mark.usefixtures("small_flushes")
@pytest.mark.parametrize("step", range(0, 60, 3))
def test_dying_at_each_step(
    many: Path, undisturbed: dict[str, bytes], tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A death at the n-th touch of the disk, whichever that is: writes, syncs, renames, removals."""
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        touches = Touches(patch, die_at=step)
        with pytest.raises(Killed):
            gpu_pack.create(many, out, OPTIONS)
    assert touches.count > step
    report = gpu_pack.create(many, out, OPTIONS)
    assert (report.packed, report.rejected) == (178, 22)
    assert published(out) == undisturbed


@pytest.mark.parametrize("step", range(0, 40, 5))
def test_dying_at_each_step_of_pass_through(
    many: Path, tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    options = gpu_pack.CreateOptions(gpu_pack.TransformSpec(pass_through=True), OPTIONS.division, OPTIONS.device)
    gpu_pack.create(many, tmp_path / "whole", options)
    with monkeypatch.context() as patch:
        patch.setattr(pass_through, "BUFFER_BYTES", 9000)
        patch.setattr(shard_writer, "_SYNC_BYTES", 9000)
        touches = Touches(patch, die_at=step)
        with pytest.raises(Killed):
            gpu_pack.create(many, out, options)
    assert touches.count > step
    report = gpu_pack.create(many, out, options)
    assert (report.packed, report.rejected, report.packed_by) == (178, 22, {"pass-through": 178})
    assert published(out) == published(tmp_path / "whole")


@pytest.mark.usefixtures("small_flushes")
@pytest.mark.parametrize("step", range(12))
def test_dying_while_publishing(
    many: Path, undisturbed: dict[str, bytes], tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the decision to publish until the staging folder is gone, also over an earlier run's files."""
    out = tmp_path / "out"
    gpu_pack.create(many, out, gpu_pack.CreateOptions(device=OPTIONS.device))
    over = gpu_pack.CreateOptions(OPTIONS.spec, OPTIONS.division, OPTIONS.device, overwrite=True)
    with monkeypatch.context() as patch:
        real = staging.Staging.finish_publishing
        touches: list[Touches] = []

        def publishing(self: staging.Staging) -> bool:
            if (self.folder / "publish.json").exists():
                touches.append(Touches(patch, die_at=step))
            return real(self)

        patch.setattr(staging.Staging, "finish_publishing", publishing)
        with pytest.raises(Killed):
            gpu_pack.create(many, out, over)
    assert touches
    gpu_pack.create(many, out, over)
    assert published(out) == undisturbed


class Touches:
    """Counts what changes the disk, and dies before the n-th."""

    def __init__(self, patch: pytest.MonkeyPatch, die_at: int) -> None:
        self.count = 0
        self.die_at = die_at
        for owner, name in (
            (shard_writer.RecordWriter, "_write"), (shard_writer, "sync_file"), (atomic_file, "sync_file"), (shard_writer, "write_durably"),
            (Path, "replace"),
            (staging, "write_durably"), (create, "write_durably"), (Path, "unlink"), (staging.shutil, "rmtree"),
            (staging.Staging, "add_checkpoint"), (pack_shards, "write_index"),
        ):  # fmt: skip
            patch.setattr(owner, name, self._counting(getattr(owner, name)))

    def _counting(self, real: Any) -> Any:
        def touch(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if self.count > self.die_at:
                raise Killed
            return real(*args, **kwargs)

        return touch


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("workers", [2, 9], ids=["threads", "processes"])
@pytest.mark.parametrize(("sent", "status", "word"), [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated")])
def test_ctrl_c_and_kill_stop_within_a_second_and_it_goes_on(
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
    start = time.monotonic()
    process.send_signal(getattr(signal, sent))
    _, errors = process.communicate(timeout=20)
    assert time.monotonic() - start < 3, "a second, and some for a busy machine"
    assert process.returncode == status
    assert errors.splitlines()[-1] == f"gpu-pack: {word}; run the same command again to go on"
    assert not list((tmp_path / "out").glob("*.rec"))
    done = subprocess.run(command(*args, "--json"), env=ENVIRONMENT, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["resumed"] > 0 and report["packed"] + report["rejected"] == 3200


def test_a_power_cut_that_took_the_end_of_a_file(many: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    """After a restart of the machine, only what a checkpoint proves is kept: here the file grew, but zeros arrived."""
    out = tmp_path / "out"
    interrupt_after(many, out, 150)
    partial = out / ".gpu-pack/train-00000-of-00002.rec.partial"
    data = bytearray(partial.read_bytes())
    data[-5000:-2000] = bytes(3000)
    partial.write_bytes(data)
    run = out / ".gpu-pack/run.json"
    run.write_text(json.dumps(json.loads(run.read_text()) | {"boot": "another one"}))
    gpu_pack.create(many, out, OPTIONS)
    assert published(out) == undisturbed


def test_after_a_power_cut_and_a_kill_what_the_second_run_wrote_is_kept(
    many: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    interrupt_after(many, out, 60)
    run, journal = out / ".gpu-pack/run.json", out / ".gpu-pack/journal.jsonl"
    run.write_text(json.dumps(json.loads(run.read_text()) | {"boot": "another one"}))
    with journal.open("ab") as file:  # it may be the first line: a sync that is under way is not waited for
        file.write(b'["train-00000-of-00002.rec", 99')
    interrupt_after(many, out, 80)
    report = gpu_pack.create(many, out, OPTIONS)
    assert report.resumed > 60, "more than the first run had: 53 good ones among 60, of which few were synced"
    assert published(out) == undisturbed


def interrupt_after(source: Path, out: Path, count: int, options: gpu_pack.CreateOptions = OPTIONS) -> None:
    """Run until ``count`` images are read, then die."""
    real = local.read_images

    def dying(*args: Any, **kwargs: Any) -> Iterator[Any]:
        for number, item in enumerate(real(*args, **kwargs)):
            if number == count:
                raise Killed
            yield item

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack_shards, "read_images", dying)
        make_flushes_small(patch)
        with pytest.raises(Killed):
            gpu_pack.create(source, out, options)


def test_resuming_redoes_only_what_was_in_flight(many: Path, tmp_path: Path) -> None:
    interrupt_after(many, tmp_path / "out", 150)
    report = gpu_pack.create(many, tmp_path / "out", OPTIONS)
    assert report.resumed > 90, "of some 133 good ones among 150, less what two workers had in hand"


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_staged_lists_that_were_lost_are_written_again(
    many: Path, undisturbed: dict[str, bytes], tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    interrupt_after(many, tmp_path / "out", 90)
    damage(tmp_path / "out/.gpu-pack/train-00000-of-00002.lst.partial")
    gpu_pack.create(many, tmp_path / "out", OPTIONS)
    assert published(tmp_path / "out") == undisturbed


def test_other_options_are_named(many: Path, tmp_path: Path, gpu_pack_command: Run) -> None:
    interrupt_after(many, tmp_path / "out", 50)
    done = gpu_pack_command("create", many, "out", "--size", 32, "--shards", 2, "--device", "cpu", code=1)
    assert "options.size was 24, is 32" in done.stderr
    done = gpu_pack_command("create", many, "out", "--size", 24, "--seed", 7, "--device", "cpu", code=1)
    assert "options.seed was 100, is 7" in done.stderr and "options.shards was 2, is 1" in done.stderr
    gpu_pack_command("create", many, "out", "--size", 32, "--device", "cpu", "--overwrite")


def test_an_interrupted_overwrite_goes_on_by_overwrite_only(
    many: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    gpu_pack.create(many, out, gpu_pack.CreateOptions(device=OPTIONS.device))
    before = published(out)
    over = dataclasses.replace(OPTIONS, overwrite=True)
    interrupt_after(many, out, 150, over)
    with pytest.raises(OutputExistsError, match="an interrupted one that was to replace it: go on with that by"):
        gpu_pack.create(many, out, OPTIONS)
    assert (out / "train.rec").read_bytes() == before["train.rec"]
    assert gpu_pack.create(many, out, over).resumed > 90
    assert published(out) == undisturbed


def test_a_changed_source_is_noticed_and_named(many: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    interrupt_after(many, out, 50)
    changed = many / "c1/001.jpg"
    before = changed.stat()
    write_picture(changed, 777)
    with pytest.raises(OutputExistsError, match=r"c1/001\.jpg changed since it began"):
        gpu_pack.create(many, out, OPTIONS)
    write_picture(changed, 1)
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))
    write_picture(many / "c1/new.jpg", 5)
    with pytest.raises(OutputExistsError, match="the source lists other images now"):
        gpu_pack.create(many, out, OPTIONS)
    (many / "c1/new.jpg").unlink()
    gpu_pack.create(many, out, OPTIONS)


def test_a_file_that_changes_or_goes_between_listing_and_reading(many: Path, tmp_path: Path) -> None:
    real = local.read_images

    def meanwhile(*args: Any, **kwargs: Any) -> Iterator[Any]:
        (many / "c0/000.jpg").unlink()
        (many / "c1/001.jpg").write_bytes(b"longer" * 1000)
        return real(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack_shards, "read_images", meanwhile)
        report = gpu_pack.create(many, tmp_path / "out", OPTIONS)
    assert report.rejected == 24
    reasons = (tmp_path / "out/rejects.jsonl").read_text()
    assert "no such file" in reasons and "the file changed while packing" in reasons


def test_a_read_error_of_the_disk_is_a_reject(many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.read

    def failing(descriptor: int, size: int) -> bytes:
        data = real(descriptor, size)
        if data == whole:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return data

    whole = (many / "c2/002.jpg").read_bytes()
    monkeypatch.setattr(os, "read", failing)
    report = gpu_pack.create(many, tmp_path / "out", OPTIONS)
    assert report.rejects["read"] == 1
    assert os.strerror(errno.EIO) in (tmp_path / "out/rejects.jsonl").read_text()


@pytest.mark.usefixtures("small_flushes")
def test_a_full_disk_keeps_what_is_written(
    many: Path, undisturbed: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shard_writer.RecordWriter._write
    room = 60_000

    def full(self: shard_writer.RecordWriter, batch: bytes) -> None:
        nonlocal room
        room -= len(batch)
        if room < 0:
            real(self, batch[: len(batch) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(shard_writer.RecordWriter, "_write", full)
        with pytest.raises(OutputError, match="no space left on the disk: free some, then run the same command again"):
            gpu_pack.create(many, tmp_path / "out", OPTIONS)
    assert not list((tmp_path / "out").glob("*.rec"))
    report = gpu_pack.create(many, tmp_path / "out", OPTIONS)
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
    with staging.Staging(out):
        done = gpu_pack_command("create", many, out, code=1)
        assert f"another gpu-pack run (process {os.getpid()}) is writing here" in done.stderr
    gpu_pack_command("create", many, out)


def test_a_lock_left_by_a_dead_run_does_not_block(many: Path, tmp_path: Path, gpu_pack_command: Run) -> None:
    (tmp_path / "out/.gpu-pack").mkdir(parents=True)
    (tmp_path / "out/.gpu-pack/lock").write_bytes(b"\0999999999")
    gpu_pack_command("create", many, "out")


def test_a_device_that_breaks_leaves_a_run_to_go_on_with(
    many: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
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
            gpu_pack.create(many, tmp_path / "out", OPTIONS)
    gpu_pack.create(many, tmp_path / "out", OPTIONS)
    assert published(tmp_path / "out") == undisturbed


def test_threads_do_not_outlive_a_failed_run(many: Path, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    interrupt_after(many, tmp_path / "out", 50)
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
