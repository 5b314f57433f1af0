"""Processes that end with whoever started them, and with everything they started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from pathlib import Path

#: Lines of a failed process's standard error that are told; the log has them all.
_LAST_LINES = 15


def run_within(command: list[str], seconds: float, log: Path, environment: dict[str, str]) -> tuple[int | None, str]:
    """The exit status, None if the command was killed after ``seconds``, and the end of its standard error.

    Its standard input stays open until this process closes it or ends; see `end_with_parent`.
    """
    with log.open("ab") as file:
        start = file.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stderr=file, env={**os.environ, **environment}, start_new_session=True
        )
        assert process.stdin is not None
        try:
            status: int | None = process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            status = None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # also what it left behind
            process.wait()
            process.stdin.close()
    return status, "\n".join(log.read_bytes()[start:].decode(errors="replace").strip().splitlines()[-_LAST_LINES:])


def end_with_parent() -> None:
    """End this process and its group when its standard input ends: then whoever started it has gone."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()
