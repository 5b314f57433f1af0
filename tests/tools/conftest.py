"""A dataset, made once and copied for each test that wants it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.tools.datasets import pack_dataset


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset of `pack_dataset`, to be read only."""
    return pack_dataset(tmp_path_factory.mktemp("packed"))


@pytest.fixture
def dataset(packed: Path, tmp_path: Path) -> Path:
    """A copy of `packed` that a test may damage."""
    return Path(shutil.copytree(packed, tmp_path / "dataset"))


@pytest.fixture
def record(packed: Path, tmp_path: Path) -> Path:
    """A copy of one .rec file of `packed`, with nothing beside it."""
    path = tmp_path / "alone" / "some.rec"
    path.parent.mkdir()
    shutil.copy(packed / "train-00000-of-00002.rec", path)
    return path
