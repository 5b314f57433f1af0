"""Archives beside the folder that they were made of: whole `create` runs in turn, and listing alone.

    python bench/archives.py PHOTOS [--images 2000] [--rounds 5] [--members 100000] [--work FOLDER] [--save]

PHOTOS is a folder of class folders of JPEGs; it is repeated by hard links until there are enough. Runs go A B A B, and
the ratios are those of the pairs, so that a machine that slows down slows both. --save writes results/archives.json.
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
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

from gpu_pack.sources.list_source import list_source
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.spool import Spool

HERE = Path(__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HERE.parent)}


def copies(photos: Path) -> Iterator[tuple[str, Path]]:
    """Names in class folders, with the photographs that they are copies of, without end."""
    files = sorted(path for path in photos.rglob("*") if path.is_file())
    for number in count():
        for file in files:
            yield f"{file.parent.name}/{number:04d}_{file.name}", file


def make_folder(photos: Path, images: int, folder: Path) -> None:
    for name, file in islice(copies(photos), images):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, folder / name)
        except OSError:  # on another disk
            shutil.copy(file, folder / name)


def make_archives(folder: Path) -> dict[str, Path]:
    """A tar and a stored zip of a folder, in sorted order."""
    made = {"tar": folder.with_suffix(".tar"), "zip": folder.with_suffix(".zip")}
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with tarfile.open(made["tar"], "w") as tar, zipfile.ZipFile(made["zip"], "w") as archive:
        for file in files:
            name = file.relative_to(folder).as_posix()
            data = file.read_bytes()  # hard links of one another would be links in the tar
            info = tarfile.TarInfo(name)
            info.size = len(data)
            with file.open("rb") as opened:
                tar.addfile(info, opened)
            archive.writestr(name, data)
    return made


class Spent(NamedTuple):
    """Seconds on the clock, and of all cores: the latter stand where others use the machine."""

    wall: float
    cpu: float


def create(source: Path, out: Path, *options: str) -> Spent:
    """What a whole run takes."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "gpu_pack", "create", source, out, "--device", "cpu", "--quiet", *options]
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=ENVIRONMENT, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Spent(time.perf_counter() - start, cpu)


def list_alone(source: Path) -> Spent:
    """What listing a source takes."""
    start, cpu = time.perf_counter(), time.process_time()
    list_source([str(source)], SourceOptions(), Spool(None))
    return Spent(time.perf_counter() - start, time.process_time() - cpu)


def compare(pairs: list[tuple[Spent, Spent]], images: int) -> dict[str, object]:
    """Medians, and how fast the archive is where the folder is 1."""
    found: dict[str, object] = {}
    for what in ("wall", "cpu"):
        folder, archive = ([getattr(each, what) for each in side] for side in zip(*pairs, strict=True))
        ratios = sorted(one / other for one, other in zip(folder, archive, strict=True))
        found[what] = {
            "folder_per_second": round(images / statistics.median(folder)),
            "archive_per_second": round(images / statistics.median(archive)),
            "ratio": round(statistics.median(ratios), 3),
            "ratios": [round(ratio, 3) for ratio in ratios],
        }
    return found


def measure_create(arguments: argparse.Namespace, work: Path) -> dict[str, object]:
    folder = work / "photos"
    make_folder(arguments.photos, arguments.images, folder)
    found: dict[str, object] = {}
    for kind, archive in make_archives(folder).items():
        for label, options in (("create", ()), ("create --pass-through", ("--pass-through",))):
            for source in (folder, archive):
                create(source, work / "out", *options)  # into the page cache
            pairs = [
                (create(folder, work / "out", *options), create(archive, work / "out", *options))
                for _ in range(arguments.rounds)
            ]
            found[f"{label}, {kind}"] = compare(pairs, arguments.images)
            print(label, kind, found[f"{label}, {kind}"], flush=True)
    return found


def measure_listing(arguments: argparse.Namespace, work: Path) -> dict[str, object]:
    """Members of 100 bytes, since their data is not read."""
    folder = work / "many"
    for number in range(arguments.members):
        path = folder / f"c{number % 100:03d}" / f"{number:07d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\xff\xd8\xff" + bytes(97))
    found: dict[str, object] = {}
    for kind, archive in make_archives(folder).items():
        pairs = [(list_alone(folder), list_alone(archive)) for _ in range(arguments.rounds)]
        found[f"list, {kind}"] = compare(pairs, arguments.members)
        print("list", kind, found[f"list, {kind}"], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--members", type=int, default=100_000)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        found = {
            "images": arguments.images,
            "members": arguments.members,
            "rounds": arguments.rounds,
            **measure_create(arguments, Path(folder)),
            **measure_listing(arguments, Path(folder)),
        }
    if arguments.save:
        (HERE / "results/archives.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
