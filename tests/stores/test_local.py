"""Files of all kinds, read in order, and fetched before they are needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import gpu_pack
from gpu_pack import backends
from gpu_pack.stores import local
from gpu_pack.stores.local import read_files, read_image, read_images
from gpu_pack.types import Entry, Image, Rejected
from tests.folders import ENVIRONMENT, command, write_picture


def test_reading_keeps_the_order_and_names_what_it_cannot_read(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number}").write_bytes(b"%d" % number * (number % 7 + 1))
    (tmp_path / "50").unlink()
    (tmp_path / "51").unlink()
    (tmp_path / "51").mkdir()
    entries = [Entry(number, (0.0,), f"{number}") for number in range(200)]
    for threads, ahead in ((1, 1), (4, 100), (8, 1 << 20)):
        found = list(read_images(entries, str(tmp_path), threads=threads, bytes_ahead=ahead))
        assert [item.entry.key for item in found] == list(range(200))
        rejected = [item for item in found if isinstance(item, Rejected)]
        assert [(item.entry.key, item.reason) for item in rejected] == [
            (50, "no such file"),
            (51, "not a regular file but a folder"),
        ]


def test_reading_never_takes_more_than_was_listed(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"12345678")
    item = read_image(Entry(0, (0.0,), "x", 4), str(tmp_path))
    assert isinstance(item, Rejected) and "4 bytes when listed, 8 now" in item.reason
    assert isinstance(read_image(Entry(0, (0.0,), "x", 8), str(tmp_path)), Image)
    item = read_image(Entry(0, (0.0,), "a\0b"), str(tmp_path))
    assert isinstance(item, Rejected) and "not a usable file name" in item.reason


def numbered(folder: Path, count: int) -> Sequence[Entry]:
    """Entries of so many small files, each of them written."""
    for number in range(count):
        (folder / f"{number}").write_bytes(b"%d" % number)
    return [Entry(number, (0.0,), f"{number}") for number in range(count)]


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the threads that read, file by file. On a busy machine, too, only a file that sleeps is slow."""
    names: list[str] = []
    real = local.read_image

    def read(entry: Entry, root: str, descriptor: int | None = None) -> Image | Rejected:
        names.append(threading.current_thread().name)
        return real(entry, root, descriptor)

    monkeypatch.setattr(local, "read_image", read)
    monkeypatch.setattr(local, "_WAIT_SECONDS", 0.01)
    return names


def slow_files(monkeypatch: pytest.MonkeyPatch, is_slow: Callable[[int], bool]) -> None:
    """Have some files come late, by their keys."""
    real = local.read_image

    def read(entry: Entry, root: str, descriptor: int | None = None) -> Image | Rejected:
        time.sleep(0.02 * is_slow(entry.key))
        return real(entry, root, descriptor)

    monkeypatch.setattr(local, "read_image", read)


def read_by_caller(entries: Sequence[Entry], root: Path) -> list[int]:
    """The keys, in the order in which they came."""
    return [item.entry.key for item in read_images(entries, str(root), by_caller=True)]


def test_files_that_come_at_once_are_read_by_the_thread_that_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, readers: list[str]
) -> None:
    slow_files(monkeypatch, lambda key: key % 3 == 0)  # some that do not
    entries = numbered(tmp_path, 60)
    (tmp_path / "7").unlink()
    found = list(read_images(entries, str(tmp_path), by_caller=True))
    assert [item.entry for item in found] == entries
    assert [item.entry.key for item in found if isinstance(item, Rejected)] == [7]
    assert set(readers) == {threading.current_thread().name}


def test_files_that_make_their_reader_wait_are_read_ahead_by_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, readers: list[str]
) -> None:
    slow_files(monkeypatch, lambda key: key >= 20)
    assert read_by_caller(numbered(tmp_path, 60), tmp_path) == list(range(60))
    mine = threading.current_thread().name
    assert readers[:20] == [mine] * 20
    assert 20 < readers.count(mine) < 40


@pytest.mark.parametrize("count", range(7, 11))
def test_slow_files_that_end_when_the_threads_would_begin(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, readers: list[str]
) -> None:
    slow_files(monkeypatch, lambda key: True)
    assert read_by_caller(numbered(tmp_path, count), tmp_path) == list(range(count))


@pytest.mark.parametrize(("workers", "reader"), [(3, "read"), (4, "cpu"), (9, None)])
def test_workers_read_where_they_decode_on_every_core(
    workers: int, reader: str | None, photos: Path, tmp_path: Path, readers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nine are processes, which read theirs over there."""
    monkeypatch.setattr(backends, "cores", lambda: 4)
    options = gpu_pack.CreateOptions(
        gpu_pack.TransformSpec(size=24), device=gpu_pack.DeviceOptions("cpu", workers=workers)
    )
    assert gpu_pack.create(photos, tmp_path / "out", options).packed == 30
    assert len(readers) == (30 if reader else 0)
    assert all(reader and name.startswith(reader) for name in readers)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_system_is_told_what_will_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    real = os.posix_fadvise

    def advise(descriptor: int, *args: int) -> None:
        told.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        real(descriptor, *args)

    monkeypatch.setattr(os, "posix_fadvise", advise)
    entries = numbered(tmp_path, 100)
    ahead = [len(told) - done for done, _ in enumerate(read_files(entries, str(tmp_path)), 1)]
    assert told == [entry.path for entry in entries]
    assert min(ahead[:-8]) >= 7, "while one is read, some more are on their way"


def test_a_file_system_that_takes_no_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def advise(descriptor: int, *args: int) -> None:
        raise OSError("no advice here")

    monkeypatch.setattr(os, "posix_fadvise", advise, raising=False)
    assert [image.data for image in read_files(numbered(tmp_path, 2), str(tmp_path)) if isinstance(image, Image)] == [
        b"0",
        b"1",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_what_nobody_reads_after_all_is_closed(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    files = read_files(numbered(tmp_path, 100), str(tmp_path))
    assert isinstance(next(files), Image)
    assert len(os.listdir("/proc/self/fd")) > before
    files.close()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
@pytest.mark.parametrize("options", [["--pass-through", "--workers", "8"], ["--size", "24"]])
def test_a_process_that_may_open_few_files_packs_them_all(tmp_path: Path, options: list[str]) -> None:
    import resource

    for number in range(200):
        write_picture(tmp_path / f"in/{number}.jpg", number)
    done = subprocess.run(
        command("create", tmp_path / "in", tmp_path / "out", *options, "--device", "cpu", "--json"),
        env=ENVIRONMENT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["packed"], report["rejected"]) == (200, 0)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are none here")
def test_a_pipe_in_a_files_place_is_called_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jpg")
    item = read_image(Entry(0, (0.0,), "x.jpg", 8), str(tmp_path))
    assert isinstance(item, Rejected) and item.reason == "not a regular file but a named pipe"
