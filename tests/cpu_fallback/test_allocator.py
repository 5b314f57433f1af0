"""What the pictures' memory costs: seen in the page faults of a process that has done nothing else."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pictures import jpeg, photo

MEASURE = """
import resource, sys, threading
from pathlib import Path
from cpu_fallback.worker import CpuWorker
from gpu_pack.types import Entry, Image, TransformSpec

def work():
    worker = CpuWorker(TransformSpec())
    worker.transform(images)
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    for _ in range(5):
        worker.transform(images)
    print(resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before)

files = sorted(Path(sys.argv[1]).iterdir())
images = [Image(Entry(number, (0.0,), path.name), path.read_bytes()) for number, path in enumerate(files)]
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc's malloc that is set")
def test_a_worker_uses_its_pictures_memory_again(tmp_path: Path) -> None:
    for number in range(24):
        size = 400 + number * 61 % 300, 300 + number * 97 % 300
        (tmp_path / f"{number:02d}.jpg").write_bytes(jpeg(photo(*size)))
    root = Path(__file__).parent.parent.parent
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)], cwd=root, capture_output=True, text=True, check=True
    )
    # A single decoded picture has over a hundred pages.
    assert int(run.stdout) < 100
