"""PSNR of pictures whose error is known, and what is told of damaged files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.damage import told
from bench.measure import Run
from bench.quality import FILTERS, Quality, references
from bench.workloads.inputs import Source
from tests.folders import picture


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """96 x 64 pixels."""
    path = tmp_path / "source.png"
    cv2.imwrite(str(path), np.clip(picture(1, 96, 64), 20, 200))
    return path


def written(path: Path, image: np.ndarray) -> Path:
    cv2.imwrite(str(path), image)
    return path


def test_the_centre_itself_has_no_error(source: Path, tmp_path: Path) -> None:
    centre = cv2.imread(str(source))[:, 16:80]
    found = Quality().psnr(written(tmp_path / "crop.png", centre), source, 64)
    assert found is not None and all(found[name] > 90 for name in FILTERS)


def test_an_error_of_ten_everywhere_is_28_decibels(source: Path, tmp_path: Path) -> None:
    centre = cv2.imread(str(source))[:, 16:80]
    found = Quality().psnr(written(tmp_path / "crop.png", centre + 10), source, 64)
    assert found == {name: pytest.approx(28.13, abs=0.01) for name in FILTERS}


def test_another_size_is_not_compared(source: Path, tmp_path: Path) -> None:
    assert Quality().psnr(written(tmp_path / "crop.png", np.zeros((32, 32, 3), np.uint8)), source, 64) is None


@pytest.mark.parametrize("name", FILTERS)
def test_a_flat_picture_stays_flat_at_any_scale(name: str) -> None:
    for size in (7, 50, 90):
        for made in references(np.full((61, 50, 3), 77, np.uint8), size, name):
            assert made.shape == (size, size, 3) and np.allclose(made, 77, atol=0.01)


def test_filters_shrink_without_aliasing() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    for name in FILTERS:
        made = references(stripes, 16, name)[0][:, 4:12]
        assert np.allclose(made, 127.5, atol=3)


# ---- damaged files

_DAMAGED = {1: "truncated file", 2: "one with a block of zeros", 3: "one that is no image"}
_NAMES = {1: "a.jpg", 2: "b.jpg", 3: "c.jpg"}
_ALL = set(range(10))


def say(tmp_path: Path, packed: set[int], status: int | None = 0, log: str = "") -> str:
    source = Source(tmp_path / "list", tmp_path, 10, damaged=_DAMAGED)
    return told(Run(status, 45.0, 1.0, None, log), source, _NAMES, packed, tmp_path)


def test_what_is_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "rejects.jsonl").write_text('{"path": "x/a.jpg"}\n{"path": "x/b.jpg"}\n')
    assert say(tmp_path, _ALL - {1, 2, 3}, log="cannot decode c.jpg") == "leaves out all three; names each"


def test_what_is_packed_all_the_same(tmp_path: Path) -> None:
    assert say(tmp_path, _ALL - {3}, log="c.jpg") == (
        "packs the truncated file and the one with a block of zeros; leaves out the one that is no image; names each"
    )


def test_crashes_hangs_and_losses(tmp_path: Path) -> None:
    assert say(tmp_path, {0, 4}, 1) == "stops, exit status 1, with 2 of 7 whole pictures; names none"
    assert say(tmp_path, set(), None) == "hangs: ended after 45 s with 0 of 7 whole pictures; names none"
    assert say(tmp_path, {0, 4, 5}).endswith(
        "leaves out all three; names none; loses 4 whole pictures and exits with 0"
    )
