"""A Ray cluster on loopback: two nodes of one core, with workers that import this source tree."""

from __future__ import annotations

import importlib.util
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gpu_pack
from tests.distributed.runs import OPTIONS
from tests.folders import write_picture
from tests.pipeline.outputs import published

# Before Ray is imported. The first one keeps it off the machine's own network address, also on Linux.
RAY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
os.environ.update(RAY)
pytest.importorskip("ray", reason="Ray is not installed")

#: Whether Ray came with what its dashboard needs, ray[default].
HAS_DASHBOARD = all(importlib.util.find_spec(name) for name in ("aiohttp_cors", "opencensus", "prometheus_client"))
NODE = {"num_cpus": 1, "num_gpus": 0, "node_ip_address": "127.0.0.1", "object_store_memory": 80 << 20}


@pytest.fixture(scope="package")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        patch.setenv("NO_PROXY", "127.0.0.1")
        # The head has no cores: what runs on it is not what is tested.
        head = {**NODE, "num_cpus": 0, "include_dashboard": HAS_DASHBOARD, "dashboard_port": _free_port()}
        found = Cluster(initialize_head=True, head_node_args=head)
        found.webui_url = found.head_node.webui_url
        found.add_node(**NODE)
        found.add_node(**NODE)
        yield found
        found.shutdown()


@pytest.fixture(scope="package")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty pictures, some of them bad."""
    root = tmp_path_factory.mktemp("originals") / "many"
    for number in range(60):
        path = root / f"c{number % 3}" / f"{number:03d}.jpg"
        write_picture(path, number)
        if number % 9 == 4:
            path.write_bytes(path.read_bytes()[:200])
    return root


@pytest.fixture(scope="package")
def undisturbed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a run on this machine makes of them."""
    out = tmp_path_factory.mktemp("whole") / "out"
    gpu_pack.create(source, out, workers=1, **OPTIONS)
    return published(out)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """The folder of a `tests.distributed.slow_store.SlowStore`."""
    (tmp_path / "notes").mkdir()
    return tmp_path / "notes"


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
