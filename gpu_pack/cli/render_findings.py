"""Prints findings and single records for people, on standard output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gpu_pack.console import clean, count_of

if TYPE_CHECKING:
    from gpu_pack.tools.findings.find import Findings, Member
    from gpu_pack.tools.report.record import RecordView

_MAX_LISTED, _MAX_EXAMPLES = 5, 3


def print_findings(findings: Findings | None) -> None:
    """Print a line for each kind that was found."""
    print()
    for line in _findings(findings):
        print(clean(line))


def _findings(findings: Findings | None) -> Iterator[str]:
    if findings is None:
        yield "findings  not looked for, as every picture is decoded for them: --findings does"
        return
    lines = [*_groups(findings), *_pictures(findings), *_classes(findings)]
    if not lines:
        yield f"findings  none among {findings.pictures:,} pictures"
    for number, line in enumerate(lines):
        yield f"{'' if number else 'findings':<10}{line}"


def _groups(findings: Findings) -> Iterator[str]:
    from gpu_pack.tools.findings.kinds import GROUPS

    for name, kind in GROUPS.items():
        if groups := getattr(findings, name):
            count = sum(map(len, groups))
            example = ", ".join(_examples(groups[0]))
            yield f"{count_of(len(groups), 'group')} of pictures {kind.words} ({count:,} pictures), such as {example}"


def _examples(group: Sequence[Member]) -> list[str]:
    """Up to three of a group; where labels are told, one of each."""
    from gpu_pack.tools.findings.find import class_or_label

    by_label: dict[str, Member] = {}
    for each in group:
        if each.get("label") is not None:
            by_label.setdefault(class_or_label(each), each)
    named = [f"{_named(each)} ({label})" for label, each in by_label.items()]
    return (named or [_named(each) for each in group[:_MAX_EXAMPLES]])[:_MAX_EXAMPLES]


def _pictures(findings: Findings) -> Iterator[str]:
    from gpu_pack.tools.findings.kinds import SINGLES

    for name, kind in SINGLES.items():
        if members := getattr(findings, name):
            yield f"{count_of(len(members), 'picture')} {kind.words}, such as {_named(members[0])}"


def _classes(findings: Findings) -> Iterator[str]:
    from gpu_pack.tools.findings.find import SMALL_CLASS, class_or_label

    if small := findings.small_classes:
        listed = _listed([f"{class_or_label(each)} ({each['count']})" for each in small])
        yield f"classes with fewer than {SMALL_CLASS} pictures: {len(small):,}: {listed}"
    splits = dict.fromkeys(each["split"] for each in findings.missing_labels)
    for split in splits:
        labels = [class_or_label(each) for each in findings.missing_labels if each["split"] == split]
        yield f"labels that {split} lacks: {len(labels):,}: {_listed(labels)}"


def _named(member: Member) -> str:
    return f"{member['split']}: {member['path'] or 'key ' + str(member['key'])}"


def _listed(items: Sequence[str]) -> str:
    more = f", ... and {len(items) - _MAX_LISTED:,} more" if len(items) > _MAX_LISTED else ""
    return ", ".join(items[:_MAX_LISTED]) + more


def print_records(records: Sequence[RecordView]) -> None:
    """Print what is known of records, a line a value."""
    for number, record in enumerate(records):
        if number:
            print()
        for line in _record(record):
            print(clean(line))


def _record(record: RecordView) -> Iterator[str]:
    labels = " ".join("nan or inf" if label is None else f"{label:.9g}" for label in record.labels[:100])
    more = f" ... ({len(record.labels):,})" if len(record.labels) > 100 else ""
    size = f", {record.width} x {record.height}" if record.width else ""
    yield f"{'key':<10}{record.key}" + (f" (id {record.id} in the record)" if record.id != record.key else "")
    yield f"{'file':<10}{record.file}, at byte {record.offset}; split {record.split}"
    yield f"{'labels':<10}{labels}{more}" + (f", {record.class_name}" if record.class_name is not None else "")
    yield f"{'path':<10}{record.path if record.path is not None else 'not in a list'}"
    kind = "no picture: metadata" if record.metadata else record.format or "unknown format"
    yield f"{'picture':<10}{kind}{size}, {record.bytes:,} bytes"
