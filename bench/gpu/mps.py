"""NVIDIA's Multi-Process Service, for as long as a part runs: processes then share the GPU without time slices.

The daemon is a session of its own and outlives whoever started it. So a guard, this file run as a program, starts it
and ends it when its standard input ends: when the part is done, and also when prove_gpu.py is killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_CONTROL = "nvidia-cuda-mps-control"
_READY = "ready"
#: What its start may take, and its end.
SECONDS = 10.0


class Mps(NamedTuple):
    """The environment of processes that shall use it; or without one the reason why it does not run."""

    environment: dict[str, str]
    reason: str = ""


@contextlib.contextmanager
def running_mps() -> Iterator[Mps]:
    """Start the daemon, and end it in every case."""
    if shutil.which(_CONTROL) is None:
        yield Mps({}, f"{_CONTROL} is not on PATH")
        return
    with tempfile.TemporaryDirectory(prefix="mps-") as folder:  # a short path: it holds sockets
        environment = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        guard = subprocess.Popen(
            [sys.executable, __file__, folder],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert guard.stdin is not None and guard.stdout is not None
        try:
            answer = guard.stdout.readline().strip()
            yield Mps(environment) if answer == _READY else Mps({}, answer or "its guard ended")
        finally:
            guard.stdin.close()
            guard.wait()
            guard.stdout.close()


def servers() -> int:
    """How many MPS servers the daemon of this process's environment has; one serves all processes of a user."""
    return len(_ask("get_server_list").split())


def _ask(command: str) -> str:
    # A file: the daemon's answer ends only with the daemon where it holds on to a pipe.
    with tempfile.TemporaryFile("w+") as answer:
        subprocess.run(
            [_CONTROL], input=f"{command}\n", stdout=answer, stderr=answer, text=True, timeout=SECONDS, check=False
        )
        answer.seek(0)
        return answer.read()


def _start() -> str:
    """``ready``, or why the daemon does not run."""
    with tempfile.TemporaryFile("w+") as said:
        try:
            command = [_CONTROL, "-d"]
            status = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=SECONDS, check=False
            ).returncode
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{_CONTROL} -d: {error}"
        said.seek(0)
        return f"{_CONTROL} -d: exit status {status}: {' '.join(said.read().split())[:300]}" if status else _READY


def _end(folder: Path) -> None:
    """Tell the daemon to quit; kill it if it does not."""
    daemon = None
    with contextlib.suppress(OSError, ValueError):
        daemon = int((folder / f"{_CONTROL}.pid").read_text())
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        _ask("quit")
    with contextlib.suppress(ProcessLookupError):
        deadline = time.monotonic() + SECONDS
        while daemon and time.monotonic() < deadline:
            os.kill(daemon, 0)
            time.sleep(0.1)
        if daemon:
            os.kill(daemon, signal.SIGKILL)


def _guard(folder: Path) -> None:
    try:
        print(_start(), flush=True)
        sys.stdin.read()
    finally:
        _end(folder)


if __name__ == "__main__":
    _guard(Path(sys.argv[1]))
