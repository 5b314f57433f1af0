"""One run at a time in a folder, and no lock that outlives its process."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpu_pack.errors import OutputError, OutputLockedError
from gpu_pack.stores.folder_lock import FolderLock
from tests.folders import ENVIRONMENT

_HOLD = """
import sys
from pathlib import Path
from gpu_pack.stores.folder_lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "out/.gpu-pack"


@pytest.fixture
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", _HOLD, folder], env=ENVIRONMENT, text=True, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_another_process_is_named_and_leaves_no_lock_when_it_dies(folder: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(OutputLockedError, match=rf"out: another gpu-pack run \(process {holder.pid}\) is writing here"):
        FolderLock(folder)
    holder.kill()
    holder.wait()
    FolderLock(folder).release()


def test_a_second_lock_in_the_same_process_is_refused_until_the_first_is_released(folder: Path) -> None:
    lock = FolderLock(folder)
    for _ in range(2):  # trying does not change it
        with pytest.raises(OutputLockedError, match=rf"process {os.getpid()}\)"):
            FolderLock(folder)
    lock.release()
    lock.release()
    FolderLock(folder).release()


def test_nothing_is_left_where_nothing_else_is(folder: Path) -> None:
    FolderLock(folder).remove()
    assert not folder.exists()


def test_a_folder_with_files_stays(folder: Path) -> None:
    lock = FolderLock(folder)
    (folder / "run.json").write_text("{}")
    lock.remove()
    assert os.listdir(folder) == ["run.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="locks otherwise")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_a_file_system_without_locks(folder: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def flock(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    FolderLock(folder).remove()
    assert not folder.exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="lock: cannot be written"):
        FolderLock(tmp_path / "out/.gpu-pack")
