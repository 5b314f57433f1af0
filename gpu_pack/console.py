"""What people see: a progress bar on a terminal, plain lines elsewhere, and the last lines of a run.

All of it goes to standard error, so that standard output is the machine's (``--json``).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from gpu_pack.pipeline.report import Report
    from gpu_pack.pipeline.resume import OnProgress, Progress

Show = TypeVar("Show")

#: Seconds between two plain lines.
_PLAIN_EVERY = 10.0


def clean(text: str) -> str:
    """Text in which nothing steers the terminal: names come from files that strangers made."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def say(message: str) -> None:
    """One line on standard error."""
    print(clean(message), file=sys.stderr, flush=True)


@contextmanager
def progress(quiet: bool) -> Iterator[OnProgress]:
    """What to hand to a run as ``on_progress``."""
    with watch(quiet, _bar, _plain_lines) as show:
        yield show


@contextmanager
def watch(
    quiet: bool, bar: Callable[[], AbstractContextManager[Show]], lines: Callable[[], Show]
) -> Iterator[Show | Callable[[object], None]]:
    """A bar on a terminal, a line now and then elsewhere, or nothing."""
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        with bar() as show:
            yield show
    else:
        yield lines()


@contextmanager
def _bar() -> Iterator[OnProgress]:
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TextColumn("{task.fields[rate]} images/s"),
        rich.TextColumn("{task.fields[rejects]}"),
        rich.TimeRemainingColumn(),
    )
    with rich.Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=5) as bar:
        task = bar.add_task("", total=None, rate="-", rejects="")
        rate = _Rate()

        def show(state: Progress) -> None:
            rejects = f"[red]{state.rejected} rejected[/]" if state.rejected else ""
            bar.update(task, total=state.total, completed=state.done, rate=f"{rate(state.done):,.0f}", rejects=rejects)

        yield show


def _plain_lines() -> OnProgress:
    rate = _Rate()
    last = time.monotonic()

    def show(state: Progress) -> None:
        nonlocal last
        speed = rate(state.done)
        if (now := time.monotonic()) - last < _PLAIN_EVERY:
            return
        last = now
        left = f", {_duration((state.total - state.done) / speed)} left" if speed else ""
        say(f"{state.done:,} of {state.total:,} images, {speed:,.0f}/s, {state.rejected:,} rejected{left}")

    return show


class _Rate:
    """Images a second since the first call."""

    def __init__(self) -> None:
        self._start: tuple[float, int] | None = None

    def __call__(self, done: int) -> float:
        now = time.monotonic()
        if self._start is None:
            self._start = (now, done)
        began, before = self._start
        return (done - before) / (now - began) if now > began else 0.0


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def print_report(report: Report) -> None:
    """The last lines of a run."""
    for line in _lines(report):
        say(line)


def _lines(report: Report) -> Iterator[str]:
    if report.dry_run:
        yield from _planned(report)
        return
    for sentence in report.broken:
        yield f"given up on the way: {sentence}"
    if report.skipped:
        kinds = ", ".join(f"{count:,} {suffix}" for suffix, count in report.skipped.items())
        yield f"not listed: {kinds}"
    for name, count in report.splits.items():
        shards = f"{name}.rec" if len(count.shards) == 1 else f"{count.shards[0]} and {len(count.shards) - 1} more"
        yield f"{name}: {count.packed:,} images in {shards}"
    if report.left_out:
        yield f"left out, since the fractions sum to less than 1: {report.left_out:,}"
    if len(report.packed_by) > 1:
        yield "packed by " + ", ".join(f"{name}: {count:,}" for name, count in report.packed_by.items())
    resumed = f", {report.resumed:,} of them from before" if report.resumed else ""
    rejected = f"{report.rejected:,} rejected" + (f" (see {report.out}/rejects.jsonl)" if report.rejected else "")
    yield (
        f"{report.packed:,} packed{resumed}, {rejected}; {report.images_per_second:,.0f} images/s in "
        f"{report.seconds:.1f} s on {report.device} ({report.reason})"
    )


def _planned(report: Report) -> Iterator[str]:
    classes = f" in {report.classes:,} classes" if report.classes is not None else ""
    yield f"{report.listed:,} images{classes}"
    for name, count in report.splits.items():
        labels = f" of {len(count.labels):,} labels" if count.labels is not None else ""
        yield f"{name}: {count.listed:,} images{labels} in {len(count.shards)} file(s)"
    if report.left_out:
        yield f"left out, since the fractions sum to less than 1: {report.left_out:,}"
    yield "dry run: nothing was written"
