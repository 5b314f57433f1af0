"""RecordStream in two processes of one torch.distributed group: together all records once, also after a resume."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.datasets import smooth_jpeg
from tests.tools.foreign_records import write_rec

SCRIPT = Path(__file__).with_name("torch_ranks.py")


@pytest.mark.parametrize("method", ["none", *(["fork"] if hasattr(os, "fork") else ["spawn"])])
def test_two_ranks(tmp_path: Path, method: str) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    for shard, keys in enumerate((range(80), range(80, 151))):
        records = ((key, key, key, smooth_jpeg(key % 9)) for key in keys)
        write_rec(tmp_path / "set" / f"a-{shard:05d}-of-00002.rec", records)
    search = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, str(SCRIPT), str(tmp_path / "set"), str(tmp_path / "store")]
    ranks = [
        subprocess.Popen([*command, str(rank), method], stderr=subprocess.PIPE, text=True, env=search)
        for rank in range(2)
    ]
    try:
        told = [rank.communicate(timeout=600)[1] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0, 0], "\n".join(told)
