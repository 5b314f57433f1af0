#!/usr/bin/env python3
"""Proves the GPU path, in calls of a bounded time that resume where the last one ended.

    python bench/prove_gpu.py PHOTOS --out DIR                        # 540 s of whatever is still missing; repeat it
    python bench/prove_gpu.py PHOTOS --out DIR --part tests           # one part alone, or several
    python bench/prove_gpu.py PHOTOS --out DIR --resume FILE          # resume from another prove_gpu.json
    python bench/prove_gpu.py PHOTOS --out DIR --rehearse             # without a GPU: the same code, less of everything
    python -m bench.gpu.findings DIR/prove_gpu.json bench/results/gpu.md    # the page again, from the figures

PHOTOS is a folder with JPEGs, searched recursively. DIR gets prove_gpu.json with every figure as soon as it is
measured, gpu.md with the findings, prove_gpu.log with standard error and tests.log. Items that were measured on the
same machine are not measured again; those that failed or were cut off are. After a change of the code, name a new DIR.
The exit status is 0 where all that was asked for is complete and as it should be, 1 where something failed, and 3 where
time ran out: call it again.

Needs this repository (not installed), DALI, nvImageCodec and CuPy, and pytest and hypothesis for the part ``tests``.
Whole runs write to the folder for temporary files: if that is slow, set TMPDIR to one in memory.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

from bench.gpu import child, mps, verdict  # noqa: E402
from bench.gpu.drive import drive  # noqa: E402
from bench.gpu.parts import PARTS  # noqa: E402
from bench.gpu.parts.facts import machine  # noqa: E402
from bench.gpu.processes import run_within  # noqa: E402
from bench.gpu.record import Record  # noqa: E402

#: Of the budget, for ending processes and writing the last figures.
_RESERVE_SECONDS = 5.0
FAILED, INCOMPLETE = 1, 3


def main() -> int:
    arguments = parse()
    end = time.monotonic() + arguments.budget - _RESERVE_SECONDS
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "prove_gpu.json"
    found = machine(arguments.rehearse)
    call = " ".join(sys.argv[1:])
    record = Record.begin(path, arguments.resume or path, call, found, arguments.rehearse)
    for part in arguments.part or PARTS:
        if record.complete(part):
            print(f"--- {part}: complete already", flush=True)
            continue
        record = run_part(arguments, part, record, end)
        if part == "facts":
            for failure in verdict.failures(record.data):
                print(f"FAILED: {failure}", file=sys.stderr, flush=True)
            if not record.complete(part):
                break  # without a GPU that can be used there is nothing else to learn
    print(f"\n{arguments.out / 'gpu.md'}: {verdict.headline(record.data)}")
    if verdict.failures(record.data):
        return FAILED
    return 0 if all(map(record.complete, arguments.part or PARTS)) else INCOMPLETE


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--part", nargs="+", choices=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--budget", type=float, default=540, metavar="SECONDS", help="for the whole call [540]")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="[DIR/prove_gpu.json, if it exists]")
    parser.add_argument("--rehearse", action="store_true", help="DALI's and nvImageCodec's CPU mode")
    parser.add_argument("--images", type=int, metavar="N", help="for the part memory [100000; 100 in a rehearsal]")
    arguments = parser.parse_args()
    arguments.images = arguments.images or (100 if arguments.rehearse else 100_000)
    arguments.photos, arguments.out = arguments.photos.resolve(), arguments.out.resolve()
    return arguments


def run_part(arguments: argparse.Namespace, part: str, record: Record, end: float) -> Record:
    """Run a part; the record afterwards."""
    left = end - time.monotonic()
    print(f"--- {part}, {left:.0f} s are left", flush=True)
    record.start(part)
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="prove-gpu-"))
        environment = {"TMPDIR": scratch}
        if part == "mps":
            service = stack.enter_context(mps.running_mps())
            if service.reason:
                record.put(part, "unavailable", {"reason": service.reason})
                record.finish(part)
                print(f"    unavailable: {service.reason}", flush=True)
                return record
            environment |= service.environment
            end -= mps.SECONDS  # for its end
        return drive(record, part, lambda: start_child(arguments, part, end, environment))


def start_child(
    arguments: argparse.Namespace, part: str, end: float, environment: dict[str, str]
) -> tuple[int | None, str]:
    left = end - time.monotonic()
    told = {
        "part": part,
        "record": str(arguments.out / "prove_gpu.json"),
        "photos": str(arguments.photos),
        "seconds": left,
        "images": arguments.images,
    }
    command = [sys.executable, "-X", "faulthandler", str(Path(child.__file__)), json.dumps(told)]
    return run_within(command, left + _RESERVE_SECONDS / 2, arguments.out / "prove_gpu.log", environment)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
