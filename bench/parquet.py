"""Parquet files that hold the images beside the folder that they were made from, as whole processes in turn.

    python bench/parquet.py PHOTOS [--images 2000] [--rounds 3] [--work FOLDER]

PHOTOS is a folder of class folders, which is repeated until there are enough images. Prints the medians, and the median
of the ratios, pair by pair: over 1, Parquet is slower.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[1]
_FILE_ROWS, _GROUP_ROWS = 1000, 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        work = Path(name)
        make(options.photos, work, options.images)
        pairs = [(create(work, "folder"), create(work, "parquet")) for _ in range(options.rounds)]
    for number, source in enumerate(("folder", "Parquet")):
        seconds = statistics.median(pair[number] for pair in pairs)
        print(f"{source}: {options.images / seconds:,.0f} images/s")
    print(f"Parquet / folder: {statistics.median(parquet / folder for folder, parquet in pairs):.3f}")


def make(photos: Path, work: Path, count: int) -> None:
    """The folder and the Parquet files."""
    files = sorted(path for path in photos.glob("*/*") if path.is_file())
    names = sorted({path.parent.name for path in files})
    rows = []
    for number, path in enumerate(islice(cycle(files), count)):
        copy = work / "folder" / path.parent.name / f"{number:06d}{path.suffix}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        rows.append(copy)
    (work / "parquet").mkdir()
    rows.sort()
    for start in range(0, count, _FILE_ROWS):
        part = rows[start : start + _FILE_ROWS]
        images = [{"bytes": path.read_bytes(), "path": path.name} for path in part]
        table = pa.table({"image": images, "label": [names.index(path.parent.name) for path in part]})
        pq.write_table(table, work / f"parquet/part-{start:06d}.parquet", row_group_size=_GROUP_ROWS)


def create(work: Path, source: str) -> float:
    """Seconds of one whole run."""
    out = work / "out"
    shutil.rmtree(out, ignore_errors=True)
    began = time.monotonic()
    command = [sys.executable, "-m", "gpu_pack", "create", work / source, out, "--device", "cpu", "--quiet"]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
