"""RecordDataset and RecordStream in PyTorch's DataLoader, where PyTorch is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.datasets import smooth_jpeg
from tests.tools.foreign_records import write_rec

LOOPS = Path(__file__).with_name("torch_loops.py")
FORK = ["fork"] if hasattr(os, "fork") else []
#: Spawned workers import PyTorch first, which takes seconds: where forked ones show the same, they are left out.
METHODS = {
    "dataset": ["none", "spawn", *FORK],
    "stream": ["none", *FORK],
    "distributed": ["spawn", *FORK],
    "stateful": ["none", *FORK],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shards")
    for shard, keys in enumerate((range(80), range(80, 150))):
        write_rec(path / f"a-{shard:05d}-of-00002.rec", ((key, key, key, smooth_jpeg(key % 9)) for key in keys))
    return path


@pytest.mark.parametrize(("check", "method"), [(check, each) for check, some in METHODS.items() for each in some])
def test_loops(folder: Path, check: str, method: str) -> None:
    pytest.importorskip("torchdata" if check == "stateful" else "torch", reason="PyTorch is not installed")
    search = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, LOOPS, check, method, folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=search)
    assert done.returncode == 0, done.stderr
