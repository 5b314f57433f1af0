"""One contender in a process of its own, with its own libraries: writes its format, or reads when it is told to.

    python -m bench.readers.child MODULE write CROPS FOLDER
    python -m bench.readers.child MODULE serve CROPS FOLDER WORKERS

``serve`` reads ``random`` or ``in order`` from standard input, makes one pass, and answers with a line of JSON:
seconds, CPU seconds of its processes, the sum of their peak resident sizes, images, and the sum of their labels. The
loader of an order is built for its first pass. Only what the standard library has is imported here.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.readers.crops import Crops

_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def main() -> None:
    name, what, crops, folder, *rest = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print does not get among the answers
    module = importlib.import_module(f"bench.readers.contenders.{name}")
    if what == "write":
        module.write(Crops(Path(crops)), Path(crops), Path(folder))
        return
    serve(lambda shuffled: module.reader(Path(folder), int(rest[0]), shuffled), answers)


def serve(build: Callable[[bool], Callable[[], tuple[int, int]]], answers: object) -> None:
    readers: dict[str, Callable[[], tuple[int, int]]] = {}
    for line in sys.stdin:
        order = line.strip()
        if order not in readers:
            readers[order] = build(order == "random")
        print(json.dumps(one_pass(readers[order])), file=answers, flush=True)  # type: ignore[call-overload]


def one_pass(read: Callable[[], tuple[int, int]]) -> dict[str, float]:
    forget_peaks()
    used, begun = cpu_seconds(), time.perf_counter()
    images, labels = read()
    seconds = time.perf_counter() - begun
    return {
        "seconds": seconds, "cpu": cpu_seconds() - used, "peak_mib": peak_mib(), "images": images, "labels": labels
    }  # fmt: skip


def processes() -> list[int]:
    """This process and all below it."""
    found, waiting = [], [os.getpid()]
    while waiting:
        number = waiting.pop()
        found.append(number)
        for task in Path(f"/proc/{number}/task").glob("*/children"):
            waiting += map(int, task.read_text().split())
    return found


def cpu_seconds() -> float:
    """Of all of them, and of those that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = ended.ru_utime + ended.ru_stime
    for number in processes():
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / _TICKS
    return total


def forget_peaks() -> None:
    for number in processes():
        Path(f"/proc/{number}/clear_refs").write_text("5")


def peak_mib() -> float:
    """Memory that processes share is counted in each."""
    lines = (line for number in processes() for line in Path(f"/proc/{number}/status").read_text().splitlines())
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


if __name__ == "__main__":
    main()
