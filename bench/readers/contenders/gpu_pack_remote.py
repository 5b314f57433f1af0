"""gpu-pack's RecordStream from an object store that answers after 20 ms; the server's CPU time is counted too."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import gpu_pack
from bench.readers.contenders.loops import loader, over
from bench.readers.crops import REC, Crops, link
from bench.readers.turns import ROOT

_DELAY = 20
_ACCESS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


def write(crops: Crops, source: Path, folder: Path) -> None:
    link(source, folder)


def reader(folder: Path, workers: int, shuffled: bool) -> Callable[[], tuple[int, int]]:
    os.environ.update({**_ACCESS, "NO_PROXY": "127.0.0.1"})
    stream = gpu_pack.RecordStream(
        f"s3://bucket/photos/{REC}", shuffle=1000 if shuffled else 0, endpoint_url=f"http://127.0.0.1:{serve(folder)}"
    )
    if workers:
        return over(loader(stream, workers, collate_fn=partial(gpu_pack.collate, tensors=True)))

    def one() -> tuple[int, int]:
        labels = [label for _, label in stream]
        return len(labels), sum(labels)

    return one


def serve(folder: Path) -> int:
    """Its port; the server ends with this process."""
    command = [sys.executable, str(ROOT / "bench/store_server.py"), str(folder), "--delay", str(_DELAY)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    atexit.register(server.kill)
    assert server.stdout is not None
    return int(server.stdout.readline())
