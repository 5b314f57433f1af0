"""Small files are replaced in one step, and errors say what to do."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from gpu_pack.errors import OutputError
from gpu_pack.stores.atomic_file import cut_file, unwritable, write_atomically


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_a_write_that_fails_leaves_the_old_bytes(tmp_path: Path) -> None:
    import resource

    path = tmp_path / "x.json"
    write_atomically(path, b"before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(OutputError, match=r"x\.json: cannot be written: File too large"):
            write_atomically(path, b"longer than ten bytes")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["x.json"]


def test_a_file_that_cannot_be_put_in_place(tmp_path: Path) -> None:
    (tmp_path / "x/y").mkdir(parents=True)
    with pytest.raises(OutputError, match="x: "):
        write_atomically(tmp_path / "x", b"now")
    assert os.listdir(tmp_path) == ["x"]


def test_a_file_is_truncated(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"12345678")
    cut_file(tmp_path / "x", 3)
    assert (tmp_path / "x").read_bytes() == b"123"
    cut_file(tmp_path / "missing", 3)
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "out/x: no space left on the disk: free some, then run the same command again to resume"),
        (errno.EROFS, "out/x: no permission to write there"),
        (errno.EACCES, "out/x: no permission to write there"),
        (errno.EIO, "out/x: cannot be written: Input/output error"),
    ],
)
def test_what_is_said_of_a_write_that_failed(number: int, message: str) -> None:
    assert str(unwritable(Path("out/x"), OSError(number, os.strerror(number)))) == message.replace("/", os.sep, 1)
