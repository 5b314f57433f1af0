"""The comparison of readers, made small: its parts that need no other library than gpu-pack's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from bench.environments import REQUIREMENTS, Environment
from bench.readers import measure, turns
from bench.readers.contenders import READERS
from bench.readers.crops import Crops
from bench.readers.table import table

PHOTOS = Path(__file__).parents[1] / "photos"

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="CPU time and memory are Linux's")


def environment(name: str, folder: Path, **_: Any) -> Environment:
    return Environment(sys.executable) if name == "gpu_pack" else Environment(None, "not for a test")


def test_every_contender_has_its_list() -> None:
    assert {each.environment for each in READERS} <= {path.stem for path in REQUIREMENTS.glob("*.txt")}
    assert all((Path(turns.__file__).with_name("contenders") / f"{each.module}.py").exists() for each in READERS)


def test_rows_of_those_that_run_and_of_those_that_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "environment", environment)
    names = ["gpu-pack batches", "ffcv"]
    result = measure.run(PHOTOS, tmp_path, tmp_path, 0.0, only=names, count=64)
    rows: dict[Any, Any] = {(row["contender"], row.get("order"), row.get("workers")): row for row in result["rows"]}
    assert rows.pop(("ffcv", None, None))["missing"] == "not installed: not for a test"
    cores = result["cores"]
    assert rows.keys() == {
        (name, order, workers)
        for name in ("bare decoder", "gpu-pack batches")
        for order in turns.ORDERS
        for workers in (0, cores)
    }
    for row in rows.values():
        assert row["images/s"] > 0 and row["passes"] == 1 and row["peak_mib"] > 20, row
    assert all(row["of_bare"] == 1 for row in rows.values() if row["contender"] == "bare decoder")
    text = table(result)
    assert text.count("\n") == 5 and "| ffcv | not installed: not for a test |" in text


def test_images_that_are_missing_or_come_twice_are_told(tmp_path: Path) -> None:
    measure.make_crops(PHOTOS, tmp_path / "crops", 64)
    crops = Crops(tmp_path / "crops")
    assert len(crops) == 64 and crops.labels() == sum(range(64)) and crops[63][0][:2] == b"\xff\xd8"
    assert measure._wrong({"images": 64, "labels": crops.labels()}, 64, crops.labels()) == ""
    assert measure._wrong({"images": 63, "labels": 0}, 64, 0) == "63 images came, not 64"
    assert "twice" in measure._wrong({"images": 64, "labels": 5}, 64, 6)
