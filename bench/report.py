"""`gpu-pack report` for many records: minutes, CPU seconds by step, memory, and the size of the page.

    python bench/report.py PHOTOS [--records 1000000] [--processes 2] [--work FOLDER] [--save]

PHOTOS is a folder of JPEGs: every record is another mixture of two 224 x 224 pieces of them, one in fifty a piece alone
(about 12 KB each, so that a million take 12 GB of FOLDER). --save writes results/report.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import gpu_pack.tools.report.build as build
from gpu_pack import recordio

HERE = Path(__file__).parent
EDGE, LARGE, CLASSES, QUALITY = 224, 480, 1000, 75
STEPS = ("inspect_located", "read_pictures", "find_rows", "describe", "make_view", "render")


def write(photos: Path, folder: Path, split: str, keys: range) -> None:
    """A .rec with .idx and .lst."""
    cv2.setNumThreads(1)
    files = sorted(path for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))[:500]
    large = [cv2.resize(cv2.imread(str(path)), (LARGE, LARGE), interpolation=cv2.INTER_AREA) for path in files]
    random = np.random.default_rng(keys.start)

    def piece() -> np.ndarray:
        y, x = random.integers(0, LARGE - EDGE, 2)
        return large[random.integers(len(large))][y : y + EDGE, x : x + EDGE]

    rec = recordio.MXIndexedRecordIO(str(folder / f"{split}.idx"), str(folder / f"{split}.rec"), "w")
    with (folder / f"{split}.lst").open("w") as listed:
        for key in keys:
            pixels = cv2.addWeighted(piece(), 0.6, piece(), 0.4, 0) if key % 50 else piece()
            image = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
            label = int(random.integers(CLASSES))
            rec.write_idx(key, recordio.pack(recordio.IRHeader(0, float(label), key, 0), image))
            listed.write(f"{key}\t{label}\tclass{label:04d}/{key}.jpg\n")
    rec.close()


def make(photos: Path, folder: Path, records: int, processes: int) -> None:
    (folder / "classes.txt").write_text("".join(f"class{number:04d}\n" for number in range(CLASSES)))
    ends = [records * number // processes for number in range(processes + 1)]
    with ProcessPoolExecutor(processes) as pool:
        parts = pairwise(ends)
        jobs = [pool.submit(write, photos, folder, f"part{number}", range(*part)) for number, part in enumerate(parts)]
        for job in jobs:
            job.result()


def measure(folder: Path) -> dict[str, Any]:
    steps: dict[str, dict[str, float]] = {}

    def watched(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any, **more: Any) -> Any:
            cpu, wall = time.process_time(), time.monotonic()
            result = step(*given, **more)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            steps[name] = {
                "cpu_seconds": time.process_time() - cpu,
                "seconds": time.monotonic() - wall,
                "peak_MiB": peak,
            }
            return result

        return run

    for name in STEPS:
        setattr(build, name, watched(name, getattr(build, name)))
    began = time.monotonic()
    made = build.report(folder, folder / "report.html")
    total = {
        "records": made.inspection.records,
        "page_bytes": made.page_bytes,
        "minutes": (time.monotonic() - began) / 60,
    }
    return {
        **total,
        "steps": {name: {what: round(each, 1) for what, each in step.items()} for name, step in steps.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        make(options.photos, Path(folder), options.records, options.processes)
        found = measure(Path(folder))
    json.dump(found, sys.stdout, indent=1)
    if options.save:
        (HERE / "results/report.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
