"""Prints the tools' reports for people, on standard output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from gpu_pack.console import clean, count_of, human_size

if TYPE_CHECKING:
    from gpu_pack.tools.extract import Extraction
    from gpu_pack.tools.faults import ToolReport
    from gpu_pack.tools.index import Indexed
    from gpu_pack.tools.inspect import Inspection, RecordInfo
    from gpu_pack.tools.verify import Verification

#: Faults that are printed; --json has them all.
MAX_SHOWN = 50
_MAX_LISTED = 8


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(clean(line))


def _faults(report: ToolReport) -> Iterator[str]:
    """The first faults, one a line, and the number of the others."""
    yield from map(str, report.faults[:MAX_SHOWN])
    if report.fault_count > MAX_SHOWN:
        yield f"... and {report.fault_count - MAX_SHOWN:,} more faults: --json lists them"


def print_verification(result: Verification, quiet: bool) -> None:
    """Print faults and the result."""
    _print(_faults(result))
    if not quiet:
        _print(_verification(result))


def _records(pictures: int, metadata: int) -> str:
    """How many records, those without pictures apart."""
    return f"{pictures:,} records" + (f" and {metadata:,} of metadata" if metadata else "")


def _verification(result: Verification) -> Iterator[str]:
    speed = result.records / result.seconds if result.seconds else 0.0
    how = "decoded" if result.decoded else "not decoded"
    verdict = "no faults" if result.ok else count_of(result.fault_count, "fault")
    files = f"{count_of(result.files, 'file')} ({human_size(result.bytes)})"
    yield (
        f"{_records(result.records, result.metadata)} in {files}, images {how}: {verdict}; "
        f"{speed:,.0f} records/s in {result.seconds:.1f} s"
    )


def print_inspection(result: Inspection) -> None:
    """Print one screen."""
    _print(_inspection(result))
    _print(_faults(result))


def _inspection(result: Inspection) -> Iterator[str]:
    files = count_of(len(result.files), "file")
    yield f"{result.path}: {_records(result.records, result.metadata)} in {files}, {human_size(result.bytes)}"
    for item in result.files[:_MAX_LISTED]:
        lacks = [name for name, there in ((".idx", item.indexed), (".lst", item.listed)) if not there]
        without = f", without {' and '.join(lacks)}" if lacks else ""
        yield f"  {item.name}: {_records(item.records, item.metadata)}, {human_size(item.bytes)}{without}"
    if len(result.files) > _MAX_LISTED:
        yield f"  ... and {len(result.files) - _MAX_LISTED:,} more files"
    yield from _row("splits", (f"{name} {count:,}" for name, count in result.splits.items()))
    yield from _row("classes", result.classes or (), count=True)
    yield from _labels(result)
    seen = "" if result.sampled == result.records else f" (of {result.sampled:,} images that were read)"
    yield from _row("formats", (f"{name} {count:,}" for name, count in result.formats.items()), seen)
    yield from _row("sizes", (f"{name} {count:,}" for name, count in result.sizes.items()), seen)
    yield from _options(result)
    rejected = result.rejected or sum(group["count"] for group in result.rejects.values())  # no manifest: the groups
    if rejected:
        yield f"{'rejected':<10}{count_of(rejected, 'image')}, in rejects.jsonl"
    for code, group in result.rejects.items():
        yield f"{'':<10}{code} {group['count']:,}, such as {group['example']}: {group['reason']}"
    if result.identities is not None:
        yield f"{'metadata':<10}InsightFace's ranges of {result.identities:,} identities"
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
        yield f"{'options':<10}files stored as they were"
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


def _table(records: list[RecordInfo], several: bool) -> Iterator[str]:
    rows = [("key", "labels", "width x height", "bytes", "format", *(("file",) if several else ()))]
    for record in records:
        labels = " ".join("nan or inf" if label is None else f"{label:.9g}" for label in record.labels[:4])
        labels += " ..." if len(record.labels) > 4 else ""
        shape = f"{record.width} x {record.height}" if record.width else "-"
        file = (record.file,) if several else ()
        rows.append((str(record.key), labels, shape, f"{record.bytes:,}", _format(record), *file))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    yield ""
    for row in rows:
        cells = (
            text.rjust(width) if column < 4 else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


def _format(record: RecordInfo) -> str:
    return "no picture" if record.metadata else record.format or "unknown"


def print_extraction(result: Extraction, quiet: bool) -> None:
    """Print faults, missing keys and the result."""
    _print(_faults(result))
    if result.missing:
        keys = ", ".join(map(str, result.missing[:_MAX_LISTED]))
        more = f" and {len(result.missing) - _MAX_LISTED:,} more" if len(result.missing) > _MAX_LISTED else ""
        print(f"no record has the key {keys}{more}")
    if quiet:
        return
    if result.renamed:
        before, after = next(iter(result.renames.items()))
        _print([f"{result.renamed:,} files renamed to what every system takes, such as {before} to {after}"])
    _print([f"{result.written:,} files ({human_size(result.bytes)}) in {result.dest}; {result.seconds:.1f} s"])


def print_indexed(results: Sequence[Indexed], quiet: bool) -> None:
    """Print faults and a line for each file."""
    for result in results:
        _print(_faults(result))
        if not quiet:
            found = _records(result.records - result.metadata, result.metadata)
            _print([f"{result.idx}: {found}" if result.written else f"{result.rec}: {found}, no index was written"])


def print_combined(results: Sequence[Indexed]) -> None:
    """Print a line for each file of a combined index, in the order in which its reader must get them."""
    for result in results:
        _print([f"{result.rec}: {_records(result.records - result.metadata, result.metadata)}"])
    total = sum(result.records - result.metadata for result in results)
    _print([f"{results[0].idx}: {total:,} records of {count_of(len(results), 'file')}, to be read in this order"])
