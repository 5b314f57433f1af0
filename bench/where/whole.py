"""Whole processes: processor time an image, and of their start, from runs with few and with many images in turn."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from bench.compare_cpu import Setting, measure, repeated

FEW = 40


class Cost(NamedTuple):
    """Processor time: microseconds an image, and seconds that a run takes besides."""

    image: float
    start: float


def costs(setting: Setting) -> dict[str, Cost]:
    """Of each way through gpu-pack, and of the bare loop, all in turn; from the least of the rounds."""
    few, many = repeated(setting, FEW), repeated(setting, setting.images)
    ways = {
        "linear": lambda source: setting.create(source, "--interp", "linear"),
        "antialias": lambda source: setting.create(source),
        "pass-through": lambda source: setting.create(source, "--pass-through"),
        "bare": lambda source: setting.bare(source, "linear"),
        "GPU host": lambda source: [sys.executable, "-m", "bench.where.gpu_host", str(source), str(setting.out)],
    }
    least: dict[tuple[str, Path], float] = {}
    for _ in range(setting.rounds):
        for way, command in ways.items():
            for source in (few, many):
                cpu = measure(setting, command(source)).cpu
                least[way, source] = min(cpu, least.get((way, source), cpu))
    return {way: _cost(least[way, few], least[way, many], setting.images) for way in ways}


def _cost(few: float, many: float, images: int) -> Cost:
    image = (many - few) / (images - FEW)
    return Cost(1e6 * image, few - FEW * image)


def photographs(folder: Path) -> list[Path]:
    """The JPEGs in a folder."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
