"""Runs one command and tells what it and all its descendants took. Called by ``measure.py``, with one JSON argument.

It adopts descendants whose parents end (Linux), so that the CPU time of daemons counts, and ends those that are left.
Peak memory is the sum of the proportional set sizes (PSS) of all processes; sampling takes 2 % of the time at most.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_SHARE, _INTERVAL = 0.02, 0.1


class Memory(threading.Thread):
    """The most that this process's descendants had at once, in bytes; None where /proc does not tell."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak: int | None = None
        self._ended = threading.Event()

    def run(self) -> None:
        wait = 0.0
        while not self._ended.wait(wait):
            begun = time.thread_time()
            total = sum(filter(None, map(pss, descendants(os.getpid()))))
            if total:
                self.peak = max(self.peak or 0, total)
            wait = max(_INTERVAL, (time.thread_time() - begun) / _SHARE)

    def end(self) -> int | None:
        self._ended.set()
        self.join()
        return self.peak


def descendants(ancestor: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            # The name, in brackets, may hold blanks and brackets.
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.parent.name))
    found, new = [], [ancestor]
    while new:
        new = [child for process in new for child in children.get(process, ())]
        found += new
    return found


def pss(process: int) -> int:
    try:
        with open(f"/proc/{process}/smaps_rollup") as file:
            return next((int(line.split()[1]) << 10 for line in file if line.startswith("Pss:")), 0)
    except OSError:  # it ended meanwhile
        return 0


def end_descendants() -> None:
    """Kill and reap whatever is left, also what is started meanwhile."""
    while left := descendants(os.getpid()):
        for process in left:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)


def become_reaper() -> None:
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def terminated(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def main() -> None:
    asked = json.loads(sys.argv[1])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, terminated)
    become_reaper()
    if asked["cores"] and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, asked["cores"])
    memory = Memory()
    try:
        with open(asked["log"], "wb") as log:
            begun = time.perf_counter()
            process = subprocess.Popen(
                asked["command"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
            memory.start()
            try:
                status: int | None = process.wait(asked["limit"])
            except subprocess.TimeoutExpired:
                status = None
            seconds = time.perf_counter() - begun
        peak = memory.end()
    finally:
        end_descendants()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {"status": status, "seconds": seconds, "cpu": used.ru_utime + used.ru_stime, "peak": peak}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
