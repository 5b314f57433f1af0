"""What people see of a running command: a progress bar on a terminal, plain lines elsewhere.

All of it goes to standard error; standard output is for results.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpu_pack.types import OnProgress, Progress


def clean(text: str) -> str:
    """Text without control characters: file names may hold some that steer a terminal."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def say(message: str) -> None:
    """Print one line on standard error."""
    print(clean(message), file=sys.stderr, flush=True)


@contextmanager
def logged_warnings() -> Iterator[None]:
    """What the library logs meanwhile as a warning, one line each on standard error."""
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: say(f"warning: {record.getMessage()}")  # type: ignore[method-assign]
    logger = logging.getLogger("gpu_pack")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def count_of(number: int, noun: str) -> str:
    """A number of things: ``1 file``, ``1,200 files``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def human_size(count: float) -> str:
    """A number of bytes for people: ``5.6 MB``."""
    if count < 1000:
        return f"{count:,.0f} bytes"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 1000:
            return f"{count:,.1f} {unit}"
    return f"{count / 1000:,.1f} TB"


@contextmanager
def progress(quiet: bool = False, seconds: float = 10.0) -> Iterator[OnProgress]:
    """The function to pass as ``on_progress``: a bar on a terminal, elsewhere a line every ``seconds``."""
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        with _bar() as show:
            yield show
    else:
        yield _plain_lines(seconds)


@contextmanager
def _bar() -> Iterator[OnProgress]:
    from rich import progress as rich
    from rich.console import Console

    columns = (rich.BarColumn(), rich.TextColumn("{task.description}", markup=False))
    with rich.Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=5) as bar:
        task = bar.add_task("", total=None)
        describe = _Description()

        def show(state: Progress) -> None:
            bar.update(task, total=state.total, completed=state.done, description=clean(describe(state)))

        yield show


def _plain_lines(seconds: float) -> OnProgress:
    describe = _Description()
    last = time.monotonic()

    def show(state: Progress) -> None:
        nonlocal last
        text = describe(state)  # each time: the rate counts from the first call
        if (now := time.monotonic()) - last >= seconds:
            last = now
            say(text)

    return show


class _Description:
    """A state in words, with the rate since the first one and the time left."""

    def __init__(self) -> None:
        self._start: tuple[float, int] | None = None

    def __call__(self, state: Progress) -> str:
        now = time.monotonic()
        if self._start is None or state.done < self._start[1]:  # the first call, or another step begins
            self._start = (now, state.done)
        began, before = self._start
        rate = (state.done - before) / (now - began) if now > began else 0.0
        return ", ".join(
            part for part in (_count(state), _rate(state, rate), _rejected(state), _left(state, rate)) if part
        )


def _count(state: Progress) -> str:
    show = human_size if state.unit == "bytes" else "{:,}".format
    total = f" of {show(state.total)}" if state.total is not None else ""
    unit = "" if state.unit == "bytes" else f" {state.unit}"
    return f"{show(state.done)}{total}{unit}{' ' if state.detail else ''}{state.detail}"


def _rate(state: Progress, rate: float) -> str:
    return f"{human_size(rate)}/s" if state.unit == "bytes" else f"{rate:,.0f}/s"


def _rejected(state: Progress) -> str:
    noun = "rejected" if state.unit == "images" else "fault" if state.rejected == 1 else "faults"
    return f"{state.rejected:,} {noun}" if state.rejected else ""


def _left(state: Progress, rate: float) -> str:
    if state.total is None or not rate:
        return ""
    minutes, seconds = divmod(int((state.total - state.done) / rate), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d} left" if hours else f"{minutes}:{seconds:02d} left"
