"""Whole processes: processor time an image, and of their start, from runs with few and with many images in turn."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.contenders import SCRIPTS
from bench.measure import measure
from bench.workloads.inputs import Inputs, Source

FEW = 40
_LIMIT = 600.0  #: seconds of a run
_Command = Callable[[Source, Path], list[str]]


class Cost(NamedTuple):
    """Processor time: microseconds an image, and seconds that a run takes besides."""

    image: float
    start: float


def costs(photos: Path, work: Path, images: int, rounds: int, cores: int) -> dict[str, Cost]:
    """Of each way through gpu-pack, and of the bare loop, all in turn; from the least of the rounds.

    Args:
        photos: a folder of photographs, repeated until there are ``images``.
        work: an empty folder for what is read and written.
    """
    sources = {count: Inputs(photos, work / str(count)).photos(count) for count in (FEW, images)}
    ways: dict[str, _Command] = {
        "linear": lambda source, out: _create(source, out, "--interp", "linear"),
        "antialias": lambda source, out: _create(source, out),
        "pass-through": lambda source, out: _create(source, out, "--pass-through"),
        "bare": lambda source, out: _bare(source, out, cores),
        "GPU host": lambda source, out: [
            sys.executable, "-m", "bench.where.gpu_host", source.others["folder"], str(out)
        ],
    }  # fmt: skip
    least: dict[tuple[str, int], float] = {}
    for _ in range(rounds):
        for way, command in ways.items():
            for count, source in sources.items():
                cpu = _spent(way, command(source, work / "out"), work)
                least[way, count] = min(cpu, least.get((way, count), cpu))
    return {way: _cost(least[way, FEW], least[way, images], images) for way in ways}


def _create(source: Source, out: Path, *options: str) -> list[str]:
    command = [sys.executable, "-m", "gpu_pack", "create", str(source.listed), str(out), "--root", str(source.root)]
    return [*command, "--device", "cpu", "--quiet", *options]


def _bare(source: Source, out: Path, cores: int) -> list[str]:
    job = {"do": "pack", "out": str(out), "listed": str(source.listed), "root": str(source.root), "cores": cores}
    return [sys.executable, str(SCRIPTS / "bare_opencv.py"), json.dumps(job)]


def _spent(way: str, command: list[str], work: Path) -> float:
    """Processor seconds of a run into an output that is not there before."""
    out = work / "out"
    if out.is_dir():
        shutil.rmtree(out)
    out.unlink(missing_ok=True)
    run = measure(command, work / "scratch", own=True, limit=_LIMIT)
    if run.status != 0:
        raise SystemExit(f"{way}: exit status {run.status}\n{run.log}")
    return run.cpu


def _cost(few: float, many: float, images: int) -> Cost:
    image = (many - few) / (images - FEW)
    return Cost(1e6 * image, few - FEW * image)


def photographs(folder: Path) -> list[Path]:
    """The JPEGs in a folder."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
