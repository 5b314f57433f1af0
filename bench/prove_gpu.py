#!/usr/bin/env python3
"""Proves the GPU path in one call: tests, agreement, damage, the sweep, the comparison, memory.

    python bench/prove_gpu.py PHOTOS --out DIR --budget 540
    python bench/prove_gpu.py PHOTOS --out DIR --budget 540 --resume FILE  # what FILE, a prove_gpu.json, lacks
    python bench/prove_gpu.py PHOTOS --out DIR --budget 60 --cpu          # the same code in the CPU mode, smaller

PHOTOS is a folder with JPEGs, searched recursively. Each part runs in its own process within its share of the budget,
and the others run even if it fails or hangs. Figures are in DIR/prove_gpu.json and .txt as soon as they are measured,
standard error in DIR/prove_gpu.log. Needs this repository (not installed), DALI, nvImageCodec and CuPy, and pytest for
the part ``tests``. If the disk is slow, set TMPDIR to a folder in memory, since whole runs write there.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

#: Each part and its share of the budget; the most important first, since the last may be cut off.
SHARES = {
    "environment": 2,
    "agreement": 8,
    "faults": 6,
    "sweep": 36,
    "stages": 10,
    "compare": 22,
    "tests": 14,
    "memory": 12,
}
#: A part that overruns its share by more is killed, with the processes that it started.
GRACE_SECONDS = 45
#: Lines of a failed part's standard error that are kept as its ``error``; DIR/prove_gpu.log has them all.
_LAST_LINES = 15


def main() -> int:
    arguments = parse()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.part:
        return run_part(arguments)
    results: dict[str, Any] = {"commands": [], "parts": {}}
    if arguments.resume:
        results = json.loads(arguments.resume.read_text(encoding="utf-8"))
    results["commands"].append(" ".join(sys.argv))
    end = time.monotonic() + arguments.budget
    chosen = choose(arguments, results["parts"])
    for position, name in enumerate(chosen):
        share = (end - time.monotonic()) * SHARES[name] / sum(SHARES[later] for later in chosen[position:])
        results["parts"][name] = start_part(arguments, name, max(share, 1.0), end, results["parts"])
        save(arguments.out / "prove_gpu.json", results)
        (arguments.out / "prove_gpu.txt").write_text("\n".join(rows(results)) + "\n", encoding="utf-8")
    print("\n".join(rows(results)))
    return int(any("error" in part for part in results["parts"].values()))


def choose(arguments: argparse.Namespace, known: dict[str, Any]) -> list[str]:
    """The parts to run: those of ``--only``, or those that an earlier call did not finish."""
    missing = [name for name in SHARES if name not in known or {"error", "cut off"} & known[name].keys()]
    return [name for name in SHARES if name in (arguments.only or missing) and name not in arguments.skip]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--budget", type=float, default=540, help="seconds in all")
    parser.add_argument("--cpu", action="store_true", help="DALI's and nvImageCodec's CPU mode")
    parser.add_argument("--only", nargs="+", choices=SHARES, help="these parts alone")
    parser.add_argument("--skip", nargs="+", choices=SHARES, default=[], help="all parts but these")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="an earlier call's prove_gpu.json, to be completed")
    parser.add_argument("--images", type=int, help="for the memory part [100000, or 300 with --cpu]")
    parser.add_argument("--part", choices=SHARES, help=argparse.SUPPRESS)
    parser.add_argument("--share", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--best", type=json.loads, default={}, help=argparse.SUPPRESS)
    return parser.parse_args()


def start_part(
    arguments: argparse.Namespace, name: str, share: float, end: float, before: dict[str, Any]
) -> dict[str, Any]:
    """Run one part in its own process; what it recorded, with ``error`` if it did not finish."""
    print(f"--- {name}, {share:.0f} s", flush=True)
    partial = arguments.out / f"{name}.json"
    partial.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-X",
        "faulthandler",
        __file__,
        str(arguments.photos),
        "--out",
        str(arguments.out),
        "--part",
        name,
    ]
    command += ["--share", str(share), "--best", json.dumps(before.get("sweep", {}).get("best", {}))]
    command += ["--images", str(arguments.images or (300 if arguments.cpu else 100_000))]
    command += ["--cpu"] * arguments.cpu
    begin = time.monotonic()
    least = GRACE_SECONDS if arguments.cpu else 5.0  # the CPU mode has no deadline, and its machine may be busy
    seconds = max(least, min(share + GRACE_SECONDS, end - begin))
    error = run_within(command, seconds, arguments.out / "prove_gpu.log")
    recorded: dict[str, Any] = json.loads(partial.read_text(encoding="utf-8")) if partial.exists() else {}
    partial.unlink(missing_ok=True)
    recorded["seconds"] = round(time.monotonic() - begin, 1)
    if error:
        recorded["error"] = error
        print(f"    failed: {error}", flush=True)
    return recorded


def run_within(command: list[str], seconds: float, log: Path) -> str | None:
    """Why the command failed; None if it did not. After ``seconds`` it is killed with what it started."""
    with log.open("ab") as file:
        file.write(f"--- {' '.join(command)}\n".encode())
        file.flush()
        start = file.tell()
        process = subprocess.Popen(command, stderr=file, start_new_session=True)
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            status = None
    last = log.read_bytes()[start:].decode(errors="replace").strip().splitlines()[-_LAST_LINES:]
    if status == 0:
        return None
    return "\n".join([f"killed after {seconds:.0f} s" if status is None else f"exit status {status}", *last])


def run_part(arguments: argparse.Namespace) -> int:
    """In the part's own process."""
    import gpu_parts
    import gpu_whole
    from gpu_measure import Session

    session = Session(
        arguments.photos, arguments.out / f"{arguments.part}.json", arguments.share, arguments.cpu, arguments.best
    )
    session.images_wanted = arguments.images
    part = getattr(gpu_parts, arguments.part, None) or getattr(gpu_whole, arguments.part)
    status = 1
    try:
        part(session)
        status = 0
    except SystemExit as error:  # has a message; no traceback
        print(error, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    session.save()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # a library that hangs when it unloads must not fail the part


def save(path: Path, results: dict[str, Any]) -> None:
    """Write the file atomically."""
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    scratch.replace(path)


def rows(results: dict[str, Any]) -> list[str]:
    """One line for each figure: part, what, value. Of the faults, a count and those that went wrong."""
    lines = []
    for name, part in results["parts"].items():
        shown = {key: value for key, value in part.items() if key != "trials"}
        if name == "faults":
            kinds = {key: value for key, value in shown.items() if isinstance(value, dict) and "verdict" in value}
            spread = [key for key, value in kinds.items() if not value["others_exact"]]
            silent = [key for key, value in kinds.items() if value["silent"]]
            shown = {"kinds tried": len(kinds), "that changed other images": spread or "none"}
            shown["damaged, but packed by the GPU"] = silent or "none"
            shown.update({key: value for key, value in part.items() if key not in kinds})
        for key, value in shown.items():
            text = json.dumps(value) if isinstance(value, dict | list | tuple) else str(value)
            lines.append(f"{name:12} {key:38} {' '.join(text.split())[:160]}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
