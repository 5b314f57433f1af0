"""Runs on a real Ray cluster against runs on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import gpu_pack
from gpu_pack.types import Progress
from tests.pipeline.outputs import published

OPTIONS: Any = {"size": 24, "shards": 6, "device": "cpu"}


@pytest.fixture(scope="module")
def undisturbed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole") / "out"
    gpu_pack.create(source, out, workers=1, **OPTIONS)
    return published(out)


def test_the_bytes_are_those_of_one_machine(
    cluster: Any, source: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    seen: list[Progress] = []
    report = gpu_pack.create(
        source,
        tmp_path / "out",
        engine="ray",
        address=cluster.address,
        progress=lambda state: seen.append(Progress(**vars(state))),
        **OPTIONS,
    )
    assert published(tmp_path / "out") == undisturbed
    assert report.packed + report.rejected == report.listed == 60
    assert sum(machine["images"] for machine in report.machines.values()) == 60
    assert [machine["shards"] for machine in report.machines.values()] == ["0-5"]
    assert seen[-1].detail == "on 2 nodes" and seen[-1].total == 60
