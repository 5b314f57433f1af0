"""The command with the standard streams that cron jobs, supervisors and full disks give it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.folders import ENVIRONMENT, Run, command

POSIX = pytest.mark.skipif(os.name == "nt", reason="a POSIX shell closes the streams")


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program = f"{sys.executable} -m gpu_pack"
    return subprocess.run(
        line.replace("gpu-pack", program), shell=True, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip


@POSIX
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams(closed: str, photos: Path, tmp_path: Path) -> None:
    done = shell(f"gpu-pack create photos out --size 16 {closed}", tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "Traceback" not in done.stderr
    for line in ("verify out", "inspect out --json", "extract out x", "doctor", "--help", "--version"):
        assert shell(f"gpu-pack {line} {closed}", tmp_path).returncode == 0, line
    (tmp_path / "good").mkdir()
    assert shell("gpu-pack create photos good --size 16 --quiet", tmp_path).returncode == 0
    assert (tmp_path / "out/train.rec").read_bytes() == (tmp_path / "good/train.rec").read_bytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_output_that_nobody_can_take(photos: Path, tmp_path: Path) -> None:
    assert shell("gpu-pack create photos out --size 16 --quiet", tmp_path).returncode == 0
    for line in (
        "inspect out",
        "verify out --json",
        "doctor",
        "--help",
        "create photos out --overwrite --json --quiet",
    ):
        done = shell(f"gpu-pack {line} > /dev/full", tmp_path)
        assert done.returncode == 1, line
        assert done.stderr.startswith("gpu-pack: ") and "No space left on device" in done.stderr
        assert done.stderr.count("\n") == 1


@POSIX
def test_a_reader_that_goes_away_is_no_error_to_speak_of(photos: Path, tmp_path: Path) -> None:
    done = shell("gpu-pack doctor | true", tmp_path)
    assert done.stderr == ""


def test_names_that_would_steer_the_terminal(gpu_pack_command: Run, tmp_path: Path) -> None:
    done = gpu_pack_command("create", "no\x1b[31msuch", "out", code=1)
    assert "\x1b" not in done.stderr and r"no\x1b[31msuch: no such folder" in done.stderr


def test_an_empty_argument_is_not_the_current_folder(photos: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    for arguments in (("create", "photos", ""), ("create", "", "out"), ("verify", "")):
        done = gpu_pack_command(*arguments, code=2)
        assert done.stderr == "gpu-pack: an argument is empty: is a variable of the shell not set?\n"
    assert sorted(tmp_path.iterdir()) == before


def test_names_that_the_system_refuses(photos: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    done = gpu_pack_command("create", "photos", "x" * 300, code=1)
    assert "File name too long" in done.stderr and done.stderr.count("\n") == 1
    done = gpu_pack_command("create", "photos", "out", "--split", "x" * 300 + "=1", code=2)
    assert "at most 200 bytes" in done.stderr and done.stderr.count("\n") == 1
    (tmp_path / "loop").symlink_to("loop")
    assert gpu_pack_command("create", "photos", "loop", code=1).stderr.count("\n") == 1
    assert gpu_pack_command("create", "loop", "out", code=1).stderr.count("\n") == 1


@POSIX
def test_an_interruption_while_python_still_imports(photos: Path, tmp_path: Path) -> None:
    """At whichever moment it comes, there is no traceback."""
    for number in range(12):
        process = subprocess.Popen(
            command("inspect", "nowhere"), cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
        )
        time.sleep(0.03 + 0.008 * number)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        if "__main__.py" in said:  # before that, Python itself was still starting
            assert "Traceback" not in said, said
