"""See `bench.readers`."""

from __future__ import annotations

import argparse
import json
import tempfile
from contextlib import nullcontext
from pathlib import Path

import bench.readers
from bench.readers.contenders import READERS
from bench.readers.measure import COUNT, run
from bench.readers.table import table


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.readers", description=bench.readers.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("photos", type=Path)
    parser.add_argument("--work", type=Path, help="a temporary folder by default")
    parser.add_argument("--envs", type=Path, help="keeps the environments; WORK/environments by default")
    parser.add_argument("--seconds", type=float, default=330.0)
    parser.add_argument("--crops", type=int, default=COUNT)
    parser.add_argument("--only", nargs="+", default=(), choices=[each.name for each in READERS])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() if options.work is None else nullcontext(options.work) as work:
        folder = Path(work).resolve()
        envs = (options.envs or folder / "environments").resolve()
        result = run(options.photos, folder, envs, options.seconds, only=options.only, count=options.crops)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result), end="")


if __name__ == "__main__":
    main()
