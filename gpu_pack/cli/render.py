"""What people see of the readers' results: plain lines on standard output, progress on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpu_pack.console import clean, say, watch

if TYPE_CHECKING:
    from gpu_pack.tools.extract import Extraction
    from gpu_pack.tools.faults import Fault
    from gpu_pack.tools.index import Indexed
    from gpu_pack.tools.inspect import Inspection, Shown
    from gpu_pack.tools.verification import OnVerify, Verification, VerifyProgress

#: Faults that are printed; --json has them all.
MAX_SHOWN = 50
_PLAIN_EVERY = 10.0
_MAX_LISTED = 8


def print_faults(faults: Sequence[Fault], count: int) -> None:
    """Some faults, a line each, and how many more there are."""
    for fault in faults[:MAX_SHOWN]:
        print(clean(str(fault)))
    if count > MAX_SHOWN:
        print(f"... and {count - MAX_SHOWN:,} more faults: --json lists them")


# ---- verify


def print_verification(result: Verification, quiet: bool) -> None:
    """Faults first, the verdict last."""
    print_faults(result.faults, result.fault_count)
    if quiet:
        return
    for note in result.notes[:_MAX_LISTED]:
        print(clean(f"note: {note}"))
    if len(result.notes) > _MAX_LISTED:
        print(f"note: ... and {len(result.notes) - _MAX_LISTED:,} more notes")
    speed = result.records / result.seconds if result.seconds else 0.0
    how = "decoded" if result.decoded else "looked at, not decoded"
    verdict = "no faults" if result.ok else f"{result.fault_count:,} fault{'s' * (result.fault_count > 1)}"
    print(
        f"{result.records:,} records in {result.files:,} file{'s' * (result.files != 1)} ({size(result.bytes)}), "
        f"images {how}: {verdict}; {speed:,.0f} records/s in {result.seconds:.1f} s"
    )


@contextmanager
def verify_progress(quiet: bool) -> Iterator[OnVerify]:
    """What to hand to verify as ``on_progress``: a bar on a terminal, a line now and then elsewhere."""
    with watch(quiet, _bar, _plain_lines) as show:
        yield show


@contextmanager
def _bar() -> Iterator[OnVerify]:
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.BarColumn(),
        rich.DownloadColumn(binary_units=True),
        rich.TextColumn("{task.fields[records]} records"),
        rich.TextColumn("{task.fields[faults]}"),
        rich.TimeRemainingColumn(),
    )
    with rich.Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=5) as bar:
        task = bar.add_task("", total=None, records="0", faults="")

        def show(state: VerifyProgress) -> None:
            faults = f"[red]{state.faults:,} faults[/]" if state.faults else ""
            bar.update(
                task, total=state.total_bytes, completed=state.bytes, records=f"{state.records:,}", faults=faults
            )

        yield show


def _plain_lines() -> OnVerify:
    last = time.monotonic()

    def show(state: VerifyProgress) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= _PLAIN_EVERY:
            last = now
            done = f"{size(state.bytes)} of {size(state.total_bytes)}"
            say(f"{done}, {state.records:,} records, {state.faults:,} faults")

    return show


# ---- inspect


def print_inspection(result: Inspection) -> None:
    """The screen."""
    for line in _inspection(result):
        print(clean(line))
    print_faults(result.faults, result.fault_count)


def _inspection(result: Inspection) -> Iterator[str]:
    files = f"{len(result.files):,} file{'s' * (len(result.files) != 1)}"
    yield f"{result.path}: {result.records:,} records in {files}, {size(result.bytes)}"
    for item in result.files[:_MAX_LISTED]:
        lacks = [name for name, there in ((".idx", item.indexed), (".lst", item.listed)) if not there]
        without = f", without {' and '.join(lacks)}" if lacks else ""
        yield f"  {item.name}: {item.records:,} records, {size(item.bytes)}{without}"
    if len(result.files) > _MAX_LISTED:
        yield f"  ... and {len(result.files) - _MAX_LISTED:,} more files"
    yield from _row("splits", (f"{name} {count:,}" for name, count in result.splits.items()))
    yield from _row("classes", result.classes or (), count=True)
    yield from _labels(result)
    seen = "" if result.sampled == result.records else f" (of {result.sampled:,} images looked at)"
    yield from _row("formats", (f"{name} {count:,}" for name, count in result.formats.items()), seen)
    yield from _row("sizes", (f"{name} {count:,}" for name, count in result.sizes.items()), seen)
    yield from _options(result)
    if result.rejected:
        yield f"{'rejected':<10}{result.rejected:,} images, in rejects.jsonl"
    if result.first:
        yield from _table(result.first, len(result.files) > 1)


def _labels(result: Inspection) -> Iterator[str]:
    if result.labels is None:
        yield f"{'labels':<10}too many different ones to count"
        return
    yield from _row("labels", (f"{label}: {count:,}" for label, count in result.labels.items()), count=True)
    several = {number: count for number, count in result.label_counts.items() if number > 1}
    yield from _row("", (f"{count:,} records with {number} labels" for number, count in several.items()))


def _options(result: Inspection) -> Iterator[str]:
    options = result.options
    if not options:
        return
    if options.get("pass_through"):
        yield f"{'options':<10}passed through as the files were"
    else:
        crop = "centre square" if options.get("crop") else "whole picture"
        edge = f"to {options.get('size')} pixels" if options.get("size") else "not scaled"
        names = ("interp", "color", "encoding", "quality")
        how = ", ".join(f"{name} {options.get(name)}" for name in names)
        yield f"{'options':<10}{crop} {edge}, {how}"
    made = ", ".join(f"{name} {count:,}" for name, count in result.packed_by.items())
    by = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    yield f"{'packed by':<10}{made or 'nobody'} ({by})"


def _row(title: str, items: Iterable[str], after: str = "", *, count: bool = False) -> Iterator[str]:
    found = list(items)
    if not found:
        return
    more = f", ... and {len(found) - _MAX_LISTED:,} more" if len(found) > _MAX_LISTED else ""
    before = f"{len(found):,} different: " if count and more else ""
    yield f"{title:<10}{before}{', '.join(found[:_MAX_LISTED])}{more}{after}"


def _table(records: list[Shown], several: bool) -> Iterator[str]:
    rows = [("key", "labels", "width x height", "bytes", "format", *(("file",) if several else ()))]
    for record in records:
        labels = " ".join("nan or inf" if label is None else f"{label:.9g}" for label in record.labels[:4])
        labels += " ..." if len(record.labels) > 4 else ""
        shape = f"{record.width} x {record.height}" if record.width else "-"
        file = (record.file,) if several else ()
        rows.append((str(record.key), labels, shape, f"{record.bytes:,}", record.format or "unknown", *file))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    yield ""
    for row in rows:
        cells = (
            text.rjust(width) if column < 4 else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


# ---- extract and index


def print_extraction(result: Extraction, quiet: bool) -> None:
    """What could not be had, then what was."""
    print_faults(result.faults, result.fault_count)
    if result.missing:
        keys = ", ".join(map(str, result.missing[:_MAX_LISTED]))
        more = f" and {len(result.missing) - _MAX_LISTED:,} more" if len(result.missing) > _MAX_LISTED else ""
        print(f"no record has the key {keys}{more}")
    if quiet:
        return
    if result.renamed:
        before, after = next(iter(result.renames.items()))
        print(clean(f"{result.renamed:,} files under names that every system takes, such as {after} for {before}"))
    print(clean(f"{result.written:,} files ({size(result.bytes)}) in {result.dest}; {result.seconds:.1f} s"))


def print_indexed(results: Sequence[Indexed], quiet: bool) -> None:
    """A line a file."""
    for result in results:
        print_faults(result.faults, result.fault_count)
        if not quiet:
            print(clean(f"{result.idx}: {result.records:,} records"))


@contextmanager
def count_progress(quiet: bool, noun: str) -> Iterator[Callable[[int], None]]:
    """A counter where no total is known."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield lambda done: status.update(f"{done:,} {noun}")


def size(count: int) -> str:
    """Bytes for people: ``5.6 MB``."""
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:,.0f} {unit}" if unit == "bytes" else f"{value:,.1f} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"
