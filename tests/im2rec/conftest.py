"""Fixtures of the im2rec tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def last_line(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """The last line on standard error so far."""
    return lambda: capsys.readouterr().err.splitlines()[-1]
