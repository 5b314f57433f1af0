"""Measure where the time goes, and write bench/results/where.json and the tables of docs/speed.md.

    python -m bench.where PHOTOS [--images 2000] [--rounds 5] [--work FOLDER]

PHOTOS is any folder of photographs. Processor time is measured, of parts alone and of whole processes in turn;
a machine without other work still tells it best, since others empty its caches. Takes about four minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

import cv2
import simplejpeg

from bench import machine
from bench.where import page, parts, whole
from bench.workloads.inputs import Inputs

RESULTS = Path(__file__).parents[1] / "results" / "where.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, default=2000, help="of the larger of two runs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", type=Path, help="folder for what is read and written; a tmpfs leaves the disk out")
    options = parser.parse_args()
    cores = len(machine.available_cores())
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        folder = Path(name)
        count = len(Inputs(options.photos, folder).photographs)
        photos = whole.photographs(Inputs(options.photos, folder / "parts").photos(count).root)
        results = {
            "machine": f"{cores} cores, {machine.processor()}; Python {platform.python_version()}, "
            f"OpenCV {cv2.__version__}, simplejpeg {simplejpeg.__version__}",
            "load": round(os.getloadavg()[0], 2),
            "command": f"python -m bench.where PHOTOS --images {options.images} --rounds {options.rounds}",
            "photos": len(photos),
            "bytes": sum(path.stat().st_size for path in photos) // len(photos),
            "pixels": sum(_pixels(path) for path in photos) // len(photos),
            "parts": _rounded(parts.measure(photos, folder / "written", options.rounds)),
            "whole": {
                way: _rounded(cost._asdict(), 3)
                for way, cost in whole.costs(options.photos, folder, options.images, options.rounds, cores).items()
            },
        }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    page.PAGE.write_text(page.with_tables(page.PAGE.read_text(), results))
    print(page.render(results), file=sys.stdout)


def _pixels(path: Path) -> int:
    height, width, *_ = simplejpeg.decode_jpeg_header(path.read_bytes(), strict=False)
    return height * width


def _rounded(values: dict[str, float], digits: int = 1) -> dict[str, float]:
    return {name: round(value, digits) for name, value in values.items()}


if __name__ == "__main__":
    main()
