"""The disk is looked at before a run begins."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import gpu_pack
from gpu_pack.backends import choose
from gpu_pack.errors import OutputError
from gpu_pack.pipeline.create import CreatePolicy
from gpu_pack.pipeline.plan import Plan
from gpu_pack.pipeline.run import run
from gpu_pack.pipeline.space import check_space
from tests.pipeline.outputs import published
from tests.pipeline.runs import plan_of

DEVICE = gpu_pack.DeviceOptions("cpu", workers=1)
PASS_THROUGH = gpu_pack.CreateOptions(gpu_pack.TransformSpec(pass_through=True), device=DEVICE)
PHOTOS = Path(__file__).parents[1] / "photos"


def run_with(plan: Plan, free: int) -> None:
    run(plan, CreatePolicy(), choose(plan.spec, plan.device), lambda _: None, lambda folder: free)


def needed(plan: Plan) -> int:
    """The smallest disk that the check lets pass."""
    low, high = 0, 1 << 40
    with plan.open_staging() as staging:
        while low < high:
            middle = (low + high) // 2
            try:
                check_space(plan, staging, lambda folder, free=middle: free)
                high = middle
            except OutputError:
                low = middle + 1
    shutil.rmtree(plan.out)
    return low


def test_a_disk_that_is_too_small_is_one_sentence_before_anything_is_packed(photos: Path, tmp_path: Path) -> None:
    size = sum(path.stat().st_size for path in photos.rglob("*.jpg"))
    plan = plan_of(photos, tmp_path / "out", PASS_THROUGH)
    with pytest.raises(OutputError) as caught:
        run_with(plan, size - 1)
    assert str(caught.value) == (
        f"{tmp_path}/out/.gpu-pack: the run needs about {size / 1000:,.1f} kB on this disk, and {size / 1000:,.1f} kB "
        "are free: free some, or choose another output"
    )
    assert not list((tmp_path / "out").glob("*/*.rec*"))
    run_with(plan, size)
    assert "manifest.json" in published(tmp_path / "out")


@pytest.mark.parametrize(
    "spec",
    [
        gpu_pack.TransformSpec(),
        gpu_pack.TransformSpec(size=64, quality=75),
        gpu_pack.TransformSpec(size=512, quality=100),
        gpu_pack.TransformSpec(size=224, encoding="png"),
        gpu_pack.TransformSpec(size=224, crop=False, color="gray"),
        gpu_pack.TransformSpec(size=4000, upscale=False),
        gpu_pack.TransformSpec(size=None, crop=False),
    ],
    ids=str,
)
def test_the_estimate_is_below_what_photographs_take(spec: gpu_pack.TransformSpec, tmp_path: Path) -> None:
    plan = plan_of(PHOTOS, tmp_path / "out", gpu_pack.CreateOptions(spec, device=DEVICE))
    estimate = needed(plan)
    run_with(plan, 1 << 40)
    assert 0.1 < estimate / (tmp_path / "out/train.rec").stat().st_size < 1


def test_what_is_there_already_is_not_needed_again(photos: Path, tmp_path: Path) -> None:
    plan = plan_of(photos, tmp_path / "out", PASS_THROUGH)
    before = needed(plan)
    with plan.open_staging() as staging:
        staging.path("train.rec").write_bytes(bytes(1000))
        check_space(plan, staging, lambda folder: before - 1000)


def test_of_an_output_in_a_store_three_shards_are_here_at_once(photos: Path, tmp_path: Path) -> None:
    options = replace(PASS_THROUGH, division=gpu_pack.Division(shards=10), staging=tmp_path / "staging")
    plan = plan_of(photos, "s3://bucket/out", options)
    local = replace(plan, store=None)
    with local.open_staging() as staging:
        size = sum(path.stat().st_size for path in photos.rglob("*.jpg"))
        with pytest.raises(OutputError, match=r"another folder with staging=DIR \(--staging\)"):
            check_space(plan, staging, lambda folder: size // 4)
        check_space(plan, staging, lambda folder: size // 2)
        with pytest.raises(OutputError):
            check_space(replace(plan, strict=True), staging, lambda folder: size // 2)
