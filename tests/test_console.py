"""The one progress display, as plain lines."""

from __future__ import annotations

import re

import pytest

from gpu_pack import console
from gpu_pack.types import Progress


@pytest.mark.parametrize(
    ("states", "line"),
    [
        ([Progress(0, 50), Progress(9, 50, rejected=2)], r"9 of 50 images, [\d,]+/s, 2 rejected, \d+:\d\d left"),
        ([Progress(3, unit="files")], "3 files, 0/s"),
        ([Progress(0, 9_000_000, "bytes", 1, "checked")], "0 bytes of 9.0 MB checked, 0 bytes/s, 1 fault"),
        ([Progress(9, 9, "bytes"), Progress(4, 8, "bytes", detail="sent")], "4 bytes of 8 bytes sent, 0 bytes/s"),
        ([Progress(0, detail="a\x1b[2J")], r"0 images a\\x1b\[2J, 0/s"),
    ],
)  # fmt: skip
def test_a_state_in_words(states: list[Progress], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress(seconds=0) as show:
        for state in states:
            show(state)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.fullmatch(line, shown.err.splitlines()[-1]), shown.err


def test_quiet_and_early_states_print_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet, seconds in ((True, 0.0), (False, 3600.0)):
        with console.progress(quiet, seconds) as show:
            show(Progress(0, 10))
            show(Progress(10, 10))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (5_600_000, "5.6 MB"), (8e15, "8,000.0 TB")],
)  # fmt: skip
def test_sizes_for_people(count: float, text: str) -> None:
    assert console.human_size(count) == text
