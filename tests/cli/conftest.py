"""A dataset that is packed once for all tests of the command line, which leave it as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_pack.cli.main import run
from tests.folders import write_photos


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``out``, packed from the folder ``photos`` beside it."""
    folder = tmp_path_factory.mktemp("cli")
    assert run(["create", str(write_photos(folder / "photos")), str(folder / "out"), "--size", "16", "--quiet"]) == 0
    return folder / "out"
