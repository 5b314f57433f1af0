"""MXNet's tools/im2rec.cc, built against the library and headers in MXNet's wheel, and the system's OpenCV.

The wheel lacks the program's source: BENCH_MXNET_SOURCE names a checkout of MXNet 1.9.1. A part of the list a core.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from ctypes.util import find_library
from importlib.util import find_spec
from pathlib import Path

from job import Job, run
from records import read_with

#: OpenCV 4 has the names of OpenCV 2's constants in headers of their own.
_NAMES = ("opencv2/imgcodecs/legacy/constants_c.h", "opencv2/imgproc/types_c.h")
_PROGRAM = str(Path(sys.prefix) / "bin" / "im2rec")


def install(job: Job) -> None:
    spec = find_spec("mxnet")
    assert spec and spec.origin
    wheel = os.path.dirname(spec.origin)
    source = Path(os.environ.get("BENCH_MXNET_SOURCE", wheel), "tools", "im2rec.cc")
    if not source.exists():
        sys.exit("MXNet's wheel has its library, not its source: --mxnet-source FOLDER, a checkout of MXNet 1.9.1")
    if not shutil.which("pkg-config") or subprocess.run(["pkg-config", "--exists", "opencv4"]).returncode:
        sys.exit("pkg-config does not find OpenCV: apt-get install libopencv-dev pkg-config g++")
    flags = subprocess.run(
        ["pkg-config", "--cflags", "opencv4"], capture_output=True, text=True, check=True
    ).stdout.split()
    names = [part for name in _NAMES for part in ("-include", name)]
    libraries = [f"-lopencv_{part}" for part in ("core", "imgproc", "imgcodecs")]
    # libmxnet.so exports codecs of its own, other versions than OpenCV was built for: the system's must be found first.
    codecs = [f"-l:{found}" for name in ("jpeg", "png16") if (found := find_library(name))]
    # It also brings its own old libgfortran, which the linker does not look for beside it.
    mxnet = [f"-L{wheel}", "-l:libmxnet.so", f"-Wl,-rpath,{wheel}", "-Wl,--unresolved-symbols=ignore-in-shared-libs"]
    linked = ["-Wl,--no-as-needed", *libraries, *codecs, *mxnet]
    headers = [*names, *flags, f"-I{wheel}/include"]
    command = ["g++", "-std=c++14", "-O3", "-w", *headers, str(source), "-o", _PROGRAM, *linked]
    if (done := subprocess.run(command, capture_output=True, text=True)).returncode:
        sys.exit(next((line for line in done.stderr.splitlines() if "error" in line), "g++ failed"))


def pack(job: Job) -> None:
    Path(job.out).mkdir()
    size = [f"resize={job.size}", "center_crop=1", f"quality={job.quality}"]
    flags = ["unchanged=1"] if job.pass_through else size
    command = [_PROGRAM, job.listed, f"{job.root}/", f"{job.out}/data.rec", *flags, f"nsplit={job.cores}"]
    parts = [subprocess.Popen([*command, f"part={part}"]) for part in range(job.cores)]
    if failed := [part.returncode for part in parts if part.wait()]:
        sys.exit(f"im2rec: exit status {failed[0]}")


def read(job: Job) -> Iterator[tuple[int, bytes]]:
    from mxnet import recordio

    return read_with(recordio, job)


if __name__ == "__main__":
    run(pack, read, install)
