"""The CPU path beside what it must beat, as whole processes in turn: a bare OpenCV loop, and im2rec.py.

    python bench/compare_cpu.py PHOTOS [--im2rec PYTHON] [--images 6000] [--rounds 5] [--only linear,antialias,...]

PHOTOS is a folder of class folders of JPEGs; it is repeated by hard links until there are enough. PYTHON is an
interpreter that has MXNet 1.9.1 (numpy 1.23.5, opencv-python-headless 4.10). Each scenario runs its commands A B A B
and prints the medians and the median of the ratios, pair by pair: a machine that slows down slows both.

`--only cold --work FOLDER`, with FOLDER on a disk, reads photographs that the system does not have in its cache.
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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).parent
# Byte code is cached, as an installation has it.
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
    "PYTHONPATH": str(HERE.parent),
}


@dataclass(frozen=True)
class Setting:
    """Where things are and how much is done."""

    photos: Path
    work: Path
    images: int
    rounds: int
    im2rec: str | None
    cores: int

    @property
    def out(self) -> Path:
        return self.work / "out"

    def create(self, source: Path, *options: object) -> list[str]:
        return [sys.executable, "-m", "gpu_pack", "create", str(source), str(self.out), "--device", "cpu", "--quiet",
                *map(str, options)]  # fmt: skip

    def bare(self, source: Path, interp: str) -> list[str]:
        return [sys.executable, str(HERE / "bare_loop.py"), str(source), str(self.out), interp, str(self.cores)]

    def im2rec_py(self, *args: object) -> list[str]:
        assert self.im2rec is not None
        script = "import mxnet, os; print(os.path.join(os.path.dirname(mxnet.__file__), 'tools', 'im2rec.py'))"
        path = subprocess.run([self.im2rec, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
        return [self.im2rec, path, *map(str, args)]


@dataclass(frozen=True)
class Run:
    """One whole process."""

    seconds: float
    cpu: float
    peak_mb: float


def measure(setting: Setting, command: list[str], cold: Path | None = None) -> Run:
    """Run a command from a clean output, with the files of the folder ``cold`` not in the system's cache."""
    if setting.out.is_dir():
        shutil.rmtree(setting.out)
    # The other one's output too: whoever overwrites a file has its memory at hand, whoever makes one must ask for it.
    for path in (setting.out, *(setting.work / "lists").glob("*.rec"), *(setting.work / "lists").glob("*.idx")):
        path.unlink(missing_ok=True)
    if cold is not None:
        forget(cold)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit status {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(seconds, cpu, usage.ru_maxrss / 1024)


def pair(
    setting: Setting, name: str, count: int, ours: list[str], other: list[str], what: str, cold: Path | None = None
) -> dict[str, object]:
    """``ours`` and ``other`` in turn; how much faster ours is."""
    measure(setting, ours, cold)
    measure(setting, other, cold)
    runs = [(measure(setting, ours, cold), measure(setting, other, cold)) for _ in range(setting.rounds)]
    found = {
        "scenario": name,
        "against": what,
        "images": count,
        "ours_seconds": round(statistics.median(mine.seconds for mine, _ in runs), 3),
        "other_seconds": round(statistics.median(its.seconds for _, its in runs), 3),
        "ours_per_second": round(count / statistics.median(mine.seconds for mine, _ in runs)),
        "other_per_second": round(count / statistics.median(its.seconds for _, its in runs)),
        "times_as_fast": round(statistics.median(its.seconds / mine.seconds for mine, its in runs), 3),
        "least": round(min(its.seconds / mine.seconds for mine, its in runs), 3),
        "most": round(max(its.seconds / mine.seconds for mine, its in runs), 3),
        "cpu_ratio": round(statistics.median(its.cpu / mine.cpu for mine, its in runs), 3),
        "ours_peak_mb": round(max(mine.peak_mb for mine, _ in runs)),
    }
    print(
        f"{name:12} against {what:22} {found['ours_per_second']:>8} : {found['other_per_second']:>8} images/s, "
        f"{found['times_as_fast']} times as fast ({found['least']} to {found['most']}; by CPU time "
        f"{found['cpu_ratio']})",
        flush=True,
    )
    return found


# ---- the scenarios


def linear(setting: Setting) -> Iterator[dict[str, object]]:
    source = repeated(setting, setting.images)
    ours = setting.create(source, "--interp", "linear")
    yield pair(setting, "linear", setting.images, ours, setting.bare(source, "linear"), "bare OpenCV loop")
    if setting.im2rec:
        lists(setting, source)
        theirs = setting.im2rec_py(
            "--resize", 224, "--center-crop", "--num-thread", setting.cores, prefix(setting), source
        )
        yield pair(setting, "linear", setting.images, ours, theirs, f"im2rec.py, {setting.cores} processes")
        drop_in = [sys.executable, "-m", "gpu_pack", "im2rec", *theirs[2:]]
        yield pair(setting, "im2rec", setting.images, drop_in, theirs, f"im2rec.py, {setting.cores} processes")


def antialias(setting: Setting) -> Iterator[dict[str, object]]:
    source = repeated(setting, setting.images)
    other = setting.bare(source, "area")
    yield pair(setting, "antialias", setting.images, setting.create(source), other, "bare loop, INTER_AREA")


def large(setting: Setting) -> Iterator[dict[str, object]]:
    """12-megapixel photographs: mosaics of the small ones, so that they are as busy as real ones."""
    if not setting.im2rec:
        return
    count = max(24, setting.images // 40)
    source = mosaics(setting, count)
    lists(setting, source)
    theirs = setting.im2rec_py("--resize", 224, "--center-crop", "--num-thread", setting.cores, prefix(setting), source)
    commands = {
        "12 megapixels": setting.create(source),
        "12 megapixels, linear": setting.create(source, "--interp", "linear"),
        "12 megapixels, im2rec": [sys.executable, "-m", "gpu_pack", "im2rec", *theirs[2:]],
    }
    for name, ours in commands.items():
        yield pair(setting, name, count, ours, theirs, f"im2rec.py, {setting.cores} processes")


def pass_through(setting: Setting) -> Iterator[dict[str, object]]:
    if setting.im2rec:
        yield from passed(setting, "pass-through", repeated(setting, setting.images))


def cold(setting: Setting) -> Iterator[dict[str, object]]:
    """Pass-through of photographs that must come from the disk."""
    if not setting.im2rec:
        return
    source = setting.work / f"cold-{setting.images}"
    if not source.exists():
        shutil.copytree(repeated(setting, setting.images), source)  # links would be the same few files
    yield from passed(setting, "from a disk", source, source)


def passed(setting: Setting, name: str, source: Path, cold: Path | None = None) -> Iterator[dict[str, object]]:
    """The same command, which writes the same files; and ours, which also tells the sha256 of each."""
    lists(setting, source)
    theirs = setting.im2rec_py("--pass-through", "--num-thread", setting.cores, prefix(setting), source)
    against = f"im2rec.py, {setting.cores} processes"
    drop_in = [sys.executable, "-m", "gpu_pack", "im2rec", *theirs[2:]]
    yield pair(setting, f"im2rec, {name}", setting.images, drop_in, theirs, against, cold)
    yield pair(setting, name, setting.images, setting.create(source, "--pass-through"), theirs, against, cold)


def listing(setting: Setting) -> Iterator[dict[str, object]]:
    if not setting.im2rec:
        return
    count = 100_000
    source = setting.work / "names"
    if not source.exists():
        data = next(iter(sorted(setting.photos.rglob("*.*[gG]")))).read_bytes()
        for number in range(count):
            path = source / f"{number % 1000:03d}" / f"{number:06d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data[:100])
    theirs = setting.im2rec_py("--list", "--recursive", prefix(setting), source)
    ours = [sys.executable, "-m", "gpu_pack", "im2rec", *theirs[2:]]
    yield pair(setting, "im2rec --list", count, ours, theirs, "im2rec.py --list")
    yield pair(setting, "dry run", count, [*setting.create(source), "--dry-run"], theirs, "im2rec.py --list")


def start(setting: Setting) -> Iterator[dict[str, object]]:
    runs = [measure(setting, [sys.executable, "-m", "gpu_pack", "--help"]) for _ in range(4 * setting.rounds)]
    found = {"scenario": "gpu-pack --help", "seconds": round(statistics.median(run.seconds for run in runs), 3)}
    print(f"gpu-pack --help: {found['seconds']} s", flush=True)
    yield found


def million(setting: Setting) -> Iterator[dict[str, object]]:
    """A .lst of a million entries, passed through: what the process weighs at most."""
    source = repeated(setting, 240)
    names = sorted(path.relative_to(source).as_posix() for path in source.rglob("*.*"))
    small = setting.work / "small.jpg"
    done, data = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))
    assert done
    small.write_bytes(data.tobytes())
    count = 1_000_000
    roots = setting.work / "million"
    for name in names[:100]:
        (roots / name).parent.mkdir(parents=True, exist_ok=True)
        if not (roots / name).exists():
            os.link(small, roots / name)
    listed = setting.work / "million.lst"
    with listed.open("w") as file:
        file.writelines(f"{key}\t{key % 1000}\t{names[key % 100]}\n" for key in range(count))
    run = measure(
        setting, [*setting.create(listed, "--root", roots, "--pass-through", "--split", "a=0.9", "--split", "b=0.1")]
    )
    found = {"scenario": "a million entries", "seconds": round(run.seconds, 1), "peak_mb": round(run.peak_mb)}
    print(f"a million entries: {found['peak_mb']} MB at most, {found['seconds']} s", flush=True)
    yield found


# ---- their data


def repeated(setting: Setting, count: int) -> Path:
    """The photographs, hard-linked under new names until there are ``count``."""
    target = setting.work / f"photos-{count}"
    files = sorted(path for path in setting.photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not target.exists():
        for number in range(count):
            source = files[number % len(files)]
            path = target / source.parent.name / f"{number // len(files):04d}_{source.name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(source, path)
            except OSError:  # another file system
                shutil.copy(source, path)
    return target


def mosaics(setting: Setting, count: int) -> Path:
    target = setting.work / f"mosaics-{count}"
    if target.exists():
        return target
    files = sorted(path for path in setting.photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    rng = np.random.default_rng(0)
    for number in range(count):
        tiles = [cv2.resize(cv2.imread(str(files[at])), (500, 375)) for at in rng.integers(0, len(files), 64)]
        picture = np.vstack([np.hstack(tiles[row : row + 8]) for row in range(0, 64, 8)])
        path = target / f"class{number % 4}" / f"{number:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), picture, (cv2.IMWRITE_JPEG_QUALITY, 92))
    return target


def forget(folder: Path) -> None:
    """Have the system drop a folder's files from its cache."""
    os.sync()
    for path in folder.rglob("*.*"):
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def prefix(setting: Setting) -> Path:
    (setting.work / "lists").mkdir(exist_ok=True)
    return setting.work / "lists" / "data"


def lists(setting: Setting, source: Path) -> None:
    shutil.rmtree(setting.work / "lists", ignore_errors=True)
    subprocess.run(setting.im2rec_py("--list", "--recursive", prefix(setting), source), check=True, capture_output=True)


SCENARIOS: dict[str, Callable[[Setting], Iterator[dict[str, object]]]] = {
    "start": start,
    "linear": linear,
    "antialias": antialias,
    "large": large,
    "pass-through": pass_through,
    "cold": cold,
    "listing": listing,
    "million": million,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--im2rec", metavar="PYTHON")
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(name for name in SCENARIOS if name != "cold"))
    parser.add_argument("--work", type=Path, help="folder to keep the data in, on the photographs' file system")
    parser.add_argument("--json", type=Path, help="write the figures there")
    args = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    results: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        setting = Setting(args.photos, work, args.images, args.rounds, args.im2rec, cores)
        for name in args.only.split(","):
            for found in SCENARIOS[name](setting):
                results.append(found)
                if args.json:
                    args.json.write_text(json.dumps({"cores": cores, "cpu": processor(), "results": results}, indent=1))


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown"
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    main()
