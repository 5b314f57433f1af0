"""The local folder: the contract of a store, and what only files of an operating system do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from gpu_pack.errors import SourceError
from gpu_pack.stores.local import LocalStore
from gpu_pack.types import Entry, Image, Rejected
from tests.folders import ENVIRONMENT, command, write_picture
from tests.stores.store_contract import StoreContract


class TestLocalStore(StoreContract):
    def open_store(self, folder: Path) -> LocalStore:
        (folder / "sub").mkdir()
        return LocalStore(str(folder))


@pytest.fixture
def numbered(tmp_path: Path) -> Sequence[Entry]:
    """A hundred small files in ``tmp_path``."""
    for number in range(100):
        (tmp_path / f"{number}").write_bytes(b"%d" % number)
    return [Entry(number, (0.0,), f"{number}", len(f"{number}")) for number in range(100)]


def test_absolute_paths_are_used_as_they_are(tmp_path: Path, numbered: Sequence[Entry]) -> None:
    (item,) = LocalStore("/elsewhere").read_many([numbered[5]._replace(path=str(tmp_path / "5"))])
    assert isinstance(item, Image) and item.data == b"5"


def test_a_folder_in_a_files_place(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (item,) = LocalStore(str(tmp_path)).read_many([Entry(0, (0.0,), "x")])
    assert isinstance(item, Rejected) and item.reason == "not a regular file but a folder"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are none here")
def test_a_pipe_in_a_files_place_is_called_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")
    (item,) = LocalStore(str(tmp_path)).read_many([Entry(0, (0.0,), "x", 8)])
    assert isinstance(item, Rejected) and item.reason == "not a regular file but a named pipe"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_files_are_announced_to_the_system_before_they_are_read(
    tmp_path: Path, numbered: Sequence[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    announced: list[str] = []
    real = os.posix_fadvise

    def advise(descriptor: int, *args: int) -> None:
        announced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        real(descriptor, *args)

    monkeypatch.setattr(os, "posix_fadvise", advise)
    ahead = [len(announced) - read for read, _ in enumerate(LocalStore(str(tmp_path)).read_many(numbered), 1)]
    assert announced == [entry.path for entry in numbered]
    assert min(ahead[:-32]) >= 7, "while one is read, some more are on their way"


def test_a_file_system_that_takes_no_advice(
    tmp_path: Path, numbered: Sequence[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    def advise(descriptor: int, *args: int) -> None:
        raise OSError("no advice here")

    monkeypatch.setattr(os, "posix_fadvise", advise, raising=False)
    assert list(LocalStore(str(tmp_path)).read_many(numbered[:2])) == [
        Image(numbered[0], b"0"),
        Image(numbered[1], b"1"),
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_files_that_are_not_read_after_all_are_closed(tmp_path: Path, numbered: Sequence[Entry]) -> None:
    before = len(os.listdir("/proc/self/fd"))
    files = LocalStore(str(tmp_path)).read_many(numbered)
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


@pytest.mark.skipif(sys.platform != "linux", reason="counts in /proc")
def test_no_more_files_can_be_opened(tmp_path: Path, numbered: Sequence[Entry]) -> None:
    """The run ends with what to do about it, and blames no file."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1, hard))
    try:
        with pytest.raises(
            SourceError, match=r"\d: this process has too many files open: raise the limit \(ulimit -n\)"
        ):
            list(LocalStore(str(tmp_path)).read_many(numbered))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_working_folder_is_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_bytes(b"1")
    monkeypatch.chdir(tmp_path)
    assert [item.name for item in LocalStore("").list("")] == ["x"] and LocalStore("").stat("x").size == 1
