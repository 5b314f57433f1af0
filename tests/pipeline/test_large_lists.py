"""Lists that lie on the disk make the same run as those in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import gpu_pack
from gpu_pack.errors import OutputError, OutputExistsError
from gpu_pack.output.destination import find_destination
from gpu_pack.output.staging import Staging
from gpu_pack.pipeline import plan_file
from gpu_pack.pipeline.space import check_plan_space
from gpu_pack.sources import columns
from gpu_pack.sources.spill import SpillFile
from tests.folders import Run
from tests.pipeline.outputs import published
from tests.pipeline.runs import interrupt_after, plan_of

SPLITS = {"train": 0.7, "val": 0.3}
FLAGS = ("--size", 24, "--device", "cpu", "--workers", 1, "--split", "train=0.7", "--split", "val=0.3", "--shards", 2)


@pytest.fixture
def expected(photos: Path, tmp_path: Path) -> dict[str, bytes]:
    """What a run gives whose lists are in memory; one picture is bad."""
    (photos / "bee/00.jpg").write_bytes(b"no picture")
    gpu_pack.create(photos, tmp_path / "one", size=24, device="cpu", splits=SPLITS, shards=2)
    return published(tmp_path / "one")


@pytest.fixture
def files(expected: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[SpillFile]]:
    """All lists are on the disk from here on; gives their files."""
    made: list[SpillFile] = []
    init = SpillFile.__init__

    def counting(self: SpillFile) -> None:
        made.append(self)
        init(self)

    monkeypatch.setattr(SpillFile, "__init__", counting)
    monkeypatch.setattr(columns, "IN_MEMORY", 100)
    monkeypatch.setattr(columns, "PIECE", 40)
    yield made
    assert len(made) > 4


def test_create(photos: Path, tmp_path: Path, expected: dict[str, bytes], files: list[SpillFile]) -> None:
    gpu_pack.create(photos, tmp_path / "out", size=24, device="cpu", splits=SPLITS, shards=2)
    assert published(tmp_path / "out") == expected


def test_resume(photos: Path, tmp_path: Path, expected: dict[str, bytes], files: list[SpillFile]) -> None:
    options = gpu_pack.CreateOptions(
        gpu_pack.TransformSpec(size=24),
        gpu_pack.Division(SPLITS, shards=2),
        gpu_pack.DeviceOptions("cpu"),
    )
    interrupt_after(photos, tmp_path / "out", 17, options)
    changed = photos / "cat/05.jpg"
    before = changed.stat().st_mtime_ns
    os.utime(changed, ns=(before, before + 1_000_000_000))
    with pytest.raises(OutputExistsError, match=r"cat/05.jpg changed since it began"):
        gpu_pack.create(photos, tmp_path / "out", options=options)
    os.utime(changed, ns=(before, before))
    gpu_pack.create(photos, tmp_path / "out", options=options)
    assert published(tmp_path / "out") == expected


def test_a_stored_plan(
    photos: Path, tmp_path: Path, expected: dict[str, bytes], files: list[SpillFile], gpu_pack_command: Run
) -> None:
    gpu_pack_command("plan", photos, "out", *FLAGS)
    gpu_pack_command("pack", "out", "--shards", "1,3")
    gpu_pack_command("pack", "out", "--shards", "0/2")
    gpu_pack_command("pack", "out", "--shards", "2")
    gpu_pack_command("publish", "out")
    assert published(tmp_path / "out") == expected


def test_packing_reads_its_own_shards(
    photos: Path, tmp_path: Path, gpu_pack_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu_pack_command("plan", photos, "out", *FLAGS)
    path = tmp_path / "out/.gpu-pack/plan"
    destination = find_destination("out", gpu_pack.CreateOptions().store)
    sections = plan_file.load_plan(destination).sections
    text = bytearray(path.read_bytes())
    text[sections[1].offset + 5] ^= 1
    path.write_bytes(text)
    gpu_pack_command("pack", "out", "--shards", "0,2-3")
    assert "its plan is damaged" in gpu_pack_command("pack", "out", "--shards", "1", code=1).stderr


def test_room_for_a_plan(photos: Path, tmp_path: Path) -> None:
    plan = plan_of(photos, tmp_path / "out", gpu_pack.CreateOptions())
    needed = plan.listing.nbytes
    with Staging(tmp_path / "out") as staging:
        check_plan_space(plan, staging, lambda folder: needed)
        with pytest.raises(OutputError, match=r"the plan needs about .* on this disk, and .* are free: free some, or"):
            check_plan_space(plan, staging, lambda folder: needed - 1)
        staging.discard()
    assert 0 < needed < 30 * 100
