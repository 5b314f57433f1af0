"""Small datasets, made by create from pictures drawn here."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

import gpu_pack

#: So small that a test can flip its way through every file.
_SIZE = 24


def _picture(number: int) -> bytes:
    """A smooth picture with a little noise, 40 x 30."""
    random = np.random.default_rng(number)
    pixels = cv2.resize(random.integers(0, 255, (3, 4, 3), np.uint8), (40, 30), interpolation=cv2.INTER_CUBIC)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def _pack(folder: Path) -> Path:
    source = folder / "source"
    for number in range(16):
        path = source / f"class {number % 2}" / f"{number}.jpeg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_picture(number))
    (source / "class 0" / "torn.jpg").write_bytes(_picture(0)[:300])
    division = gpu_pack.Division((("train", Fraction(3, 4)), ("validation", Fraction(1, 4))), shards=2)
    options = gpu_pack.CreateOptions(
        spec=gpu_pack.TransformSpec(size=_SIZE), division=division, device=gpu_pack.DeviceOptions("cpu", workers=1)
    )
    report = gpu_pack.create(source, folder / "out", options)
    assert (report.packed, report.rejected) == (16, 1)
    return folder / "out"


@pytest.fixture(scope="session")
def _packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _pack(tmp_path_factory.mktemp("packed"))


@pytest.fixture
def dataset(_packed: Path, tmp_path: Path) -> Path:
    """A dataset of two splits with two shards each, two classes and one reject; to be damaged at will."""
    return Path(shutil.copytree(_packed, tmp_path / "dataset"))


@pytest.fixture
def record(dataset: Path, tmp_path: Path) -> Path:
    """One .rec file without anything beside it."""
    path = tmp_path / "alone" / "some.rec"
    path.parent.mkdir()
    shutil.copy(dataset / "train-00000-of-00002.rec", path)
    return path
