"""merge and divide beside `dd` with a sync of the same bytes, in turn: throughput, and CPU seconds a gigabyte.

    python bench/join.py [--gigabytes 2] [--rounds 5] [--work FOLDER] [--save]

The set has eight shards of pictures of about 100 KB. Runs go A B A B, and the ratios are those of the pairs, so that a
machine that slows down slows both. --save writes results/join.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

import gpu_pack

HERE = Path(__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HERE.parent)}
SHARDS, PICTURE_BYTES = 8, 100_000


class Took(NamedTuple):
    """Seconds of the clock, and of the processors in the program's own process."""

    wall: float
    cpu: float


def pictures(count: int) -> Iterator[tuple[bytes, int]]:
    """Small JPEGs, each with so many random bytes in comments that it has the size of a photograph."""
    random = np.random.default_rng(0)
    plain = cv2.imencode(".jpg", random.integers(0, 255, (224, 224, 3), np.uint8))[1].tobytes()
    for number in range(count):
        comments = b""
        while len(plain) + len(comments) < PICTURE_BYTES:
            comments += b"\xff\xfe\xff\xff" + random.bytes(0xFFFF - 2)
        yield plain[:2] + comments + plain[2:], number % 10


def timed(command: Sequence[object]) -> Took:
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(list(map(str, command)), check=True, env=ENVIRONMENT, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(time.monotonic() - began, cpu)


def run(command: Sequence[object], out: Path) -> Took:
    """One run into a place that is not there, with nothing left to be written to the disk."""
    shutil.rmtree(out, ignore_errors=True)
    os.sync()
    took = timed(command)
    shutil.rmtree(out, ignore_errors=True)
    return took


def measure(folder: Path, rounds: int) -> dict[str, object]:
    source, out = folder / "set", folder / "out"
    shards = sorted(source.glob("*.rec"))
    size = sum(path.stat().st_size for path in shards)
    program = [sys.executable, "-m", "gpu_pack"]
    commands = {
        "merge": [*program, "merge", source, out],
        "merge --rekey": [*program, "merge", source, out, "--rekey"],
        "divide --by count": [*program, "divide", source, out, "--by", "count=1000"],
        "divide --by label": [*program, "divide", source, out, "--by", "label"],
    }
    joined = f"mkdir {out} && cat {source}/*.rec | dd of={out}/all bs=4M iflag=fullblock conv=fdatasync"
    found: dict[str, object] = {}
    for name, command in commands.items():
        pairs = [(run(["sh", "-c", joined], out), run(command, out)) for _ in range(rounds)]
        ratios = [plain.wall / ours.wall for plain, ours in pairs]
        found[name] = {
            "MB_per_second": round(size / 1e6 / statistics.median(ours.wall for _, ours in pairs)),
            "dd_MB_per_second": round(size / 1e6 / statistics.median(plain.wall for plain, _ in pairs)),
            "of_dd": [round(value, 2) for value in (statistics.median(ratios), min(ratios), max(ratios))],
            "cpu_seconds_per_GB": round(statistics.median(ours.cpu for _, ours in pairs) / size * 1e9, 2),
        }
        print(name, json.dumps(found[name]), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        count = int(options.gigabytes * 1e9 / PICTURE_BYTES)
        gpu_pack.create(pictures(count), Path(folder) / "set", pass_through=True, shards=SHARDS)
        found = {"gigabytes": options.gigabytes, "rounds": options.rounds, **measure(Path(folder), options.rounds)}
    if options.save:
        (HERE / "results/join.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
