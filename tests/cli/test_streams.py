"""The program as a process, with the standard streams that cron jobs, supervisors and full disks give it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.folders import ENVIRONMENT, Run, command, write_picture

POSIX = pytest.mark.skipif(os.name == "nt", reason="a POSIX shell closes the streams")


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program = f"{sys.executable} -m gpu_pack"
    return subprocess.run(
        line.replace("gpu-pack", program), shell=True, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip


@POSIX
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams(closed: str, packed: Path, tmp_path: Path) -> None:
    done = shell(f"gpu-pack create {packed.parent}/photos out --size 16 {closed}", tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "Traceback" not in done.stderr
    assert (tmp_path / "out/train.rec").read_bytes() == (packed / "train.rec").read_bytes()


@POSIX
@pytest.mark.parametrize("line", ["verify out", "inspect out --json", "doctor", "--help", "--version"])
def test_commands_whose_streams_are_all_closed(line: str, packed: Path) -> None:
    assert shell(f"gpu-pack {line} <&- >&- 2>&-", packed.parent).returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("line", ["verify out --json", "--help", "create photos out --overwrite --json --quiet"])
def test_output_onto_a_full_disk(line: str, packed: Path, tmp_path: Path) -> None:
    shutil.copytree(packed.parent, tmp_path, dirs_exist_ok=True)
    done = shell(f"gpu-pack {line} > /dev/full", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("gpu-pack: ") and "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1


@POSIX
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    assert shell("gpu-pack doctor | true", tmp_path).stderr == ""


def test_what_libraries_print_about_odd_images_stays_off_the_terminal(gpu_pack_process: Run, tmp_path: Path) -> None:
    write_picture(tmp_path / "odd/1.jpg", 1)
    data = (tmp_path / "odd/1.jpg").read_bytes()
    cut = data.index(b"\xff\xdb")
    (tmp_path / "odd/1.jpg").write_bytes(data[:cut] + b"junk" + data[cut:])  # libjpeg prints a warning
    assert gpu_pack_process("create", "odd", "out", "--quiet").stderr == ""
    assert gpu_pack_process("verify", "out", "--quiet").stderr == ""


def test_errors_of_the_system_are_one_line(packed: Path, gpu_pack_process: Run) -> None:
    done = gpu_pack_process("create", packed.parent / "photos", "x" * 300, code=1)
    assert "File name too long" in done.stderr and done.stderr.count("\n") == 1


@POSIX
def test_a_progress_bar_on_a_terminal(packed: Path, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    done = subprocess.run(
        command("create", packed.parent / "photos", tmp_path / "out", "--size", 16),
        env={**ENVIRONMENT, "TERM": "xterm", "COLUMNS": "100"}, stderr=theirs, stdout=subprocess.PIPE, check=True,
        timeout=120,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while b"30 packed" not in shown:
        shown += os.read(ours, 1 << 16)
    os.close(ours)
    assert b"of 30 images" in shown and b"\x1b[?25h" in shown, "the bar, and the cursor is back"
    assert done.stdout == b""


@POSIX
def test_an_interruption_while_python_still_imports(tmp_path: Path) -> None:
    """Whenever it comes, there is no traceback of ours."""
    for number in range(6):
        process = subprocess.Popen(
            command("inspect", "nowhere"), cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
        )
        try:
            process.wait(0.03 + 0.016 * number)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        # Before the first line of `main`, Python itself is still starting.
        assert not re.search(r'__main__\.py", line \d+, in main', said), said
