"""What the page's template shows, in plain values: every text is fit to be shown, and everything is bounded."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpu_pack.console import human_size
from gpu_pack.stores.address import is_address
from gpu_pack.tools.findings.find import SMALL_CLASS, Findings, FoundRows, class_or_label
from gpu_pack.tools.findings.kinds import GROUPS, SINGLES
from gpu_pack.tools.findings.pictures import Pictures
from gpu_pack.tools.inspect import Inspection
from gpu_pack.tools.locate import Located
from gpu_pack.tools.report.album import Album, Picture
from gpu_pack.tools.report.quality import jpeg_quality
from gpu_pack.tools.report.rejects import RejectGroup, reject_groups
from gpu_pack.tools.report.samples import Sample, choose_rows, read_samples
from gpu_pack.tools.report.words import Bar, bars, shown

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

#: Pictures of the contact sheet, and of a class in it.
_MOST, _EACH = 1200, 12
#: Groups of a finding that are shown, pictures of a group, and single pictures of a finding.
_GROUPS, _MEMBERS, _SINGLES = 20, 6, 24
#: Bytes of the pictures of the sheet, the findings and the rejects: with all else, a page stays below 10 MB.
_SHEET_BYTES, _FINDING_BYTES, _REJECT_BYTES = 5_000_000, 1_500_000, 500_000
#: Classes that the page lists, their bytes, and lines of everything else.
_MAX_CLASSES, _CLASS_BYTES, _MAX_LINES = 20_000, 1_500_000, 50
#: Splits that have a colour of their own, but for the last, which stands for all others.
_MAX_SPLITS = 8
_BINS = 12


@dataclass(frozen=True)
class Strip:
    """The pictures of one class on the contact sheet."""

    label: str
    name: str
    count: int
    pictures: list[Picture]


@dataclass(frozen=True)
class Finding:
    """One kind of finding: how many groups or pictures, and some of them; ``lines`` are those without pictures."""

    name: str
    title: str
    meaning: str
    count: int
    groups: list[list[Picture]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class View:
    """The page's contents."""

    title: str
    facts: dict[str, str]
    made: dict[str, dict[str, str]]
    notes: list[str]
    warnings: list[str]
    faults: list[str]
    fault_count: int
    splits: list[str]
    split_bars: list[Bar]
    classes: list[list[Any]]
    class_count: int
    charts: dict[str, list[Bar]]
    strips: list[Strip]
    shown_pictures: int
    findings: list[Finding]
    found_any: bool
    rejects: list[RejectGroup]


def make_view(
    located: Located, inspection: Inspection, pictures: Pictures, rows: FoundRows, findings: Findings, root: Path | None
) -> View:
    """The view of a dataset that was inspected and whose pictures were compared."""
    classes = inspection.classes or []
    chosen = choose_rows(pictures, _MOST, _EACH)
    wanted = {*chosen, *_finding_rows(rows)}
    samples = read_samples(pictures, wanted)
    splits, numbers = _splits(pictures)
    table, labels = _class_table(pictures, classes, numbers, len(splits))
    strips = _strips(chosen, samples, classes, pictures)
    kinds = list(_findings(rows, findings, samples, classes))
    split_counts = [(name, int((numbers == number).sum())) for number, name in enumerate(splits)]
    return View(
        shown(_title(inspection.path)),
        _facts(inspection, pictures, labels),
        dict(_made(located, inspection)),
        *_notices(located, inspection),
        [shown(fault, 400) for fault in inspection.faults[:_MAX_LINES]],
        inspection.fault_count,
        [shown(name) for name in splits],
        bars(split_counts, _MAX_LINES),
        table,
        labels,
        _charts(inspection, pictures, [samples[row] for row in chosen if row in samples]),
        strips,
        sum(len(strip.pictures) for strip in strips),
        kinds,
        bool(kinds),
        reject_groups(located.folder, root, Album(_REJECT_BYTES)) if located.whole else [],
    )


def _title(path: str) -> str:
    """The last name of a path or address."""
    name = path.rstrip("/").rpartition("/")[2] if is_address(path) else Path(path).resolve().name
    return name or path


def _facts(inspection: Inspection, pictures: Pictures, classes: int) -> dict[str, str]:
    facts = {
        "records": f"{inspection.records:,}",
        "labels": f"{classes:,}" if inspection.classes is None else "",
        "classes": "" if inspection.classes is None else f"{len(inspection.classes):,}",
        "files": f"{len(inspection.files):,}",
        "in all": human_size(inspection.bytes),
        "a picture": human_size(sum(pictures.sizes) / max(1, len(pictures))),
        "rejected": f"{inspection.rejected:,}" if inspection.rejected is not None else "",
        "without picture": f"{inspection.metadata:,}" if inspection.metadata else "",
    }
    return {name: value for name, value in facts.items() if value}


def _made(located: Located, inspection: Inspection) -> Iterator[tuple[str, dict[str, str]]]:
    """Tables of how it was made, by title; none without a manifest."""
    if located.manifest is None:
        return
    run = located.manifest.document.get("run")
    tables: dict[str, Any] = {"Options": inspection.options, "Versions": inspection.versions, "Run": run}
    for title, table in tables.items():
        if isinstance(table, Mapping) and table:
            rows = {shown(name): _value(value) for name, value in list(table.items())[:_MAX_LINES]}
            yield title, {name: value for name, value in rows.items() if name != "sha256" and value}


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return shown(", ".join(f"{name} {each}" for name, each in value.items()), 300)
    if isinstance(value, list):
        return shown(", ".join(map(str, value)), 300)
    return "" if value is None else shown(value, 300)


def _notices(located: Located, inspection: Inspection) -> tuple[list[str], list[str]]:
    """Notes and warnings: those of this reading, and those that the manifest kept."""
    document = located.manifest.document if located.manifest is not None else {}
    found = []
    for name in ("notes", "warnings"):
        kept = document.get(name)
        items = [*(kept if isinstance(kept, list) else []), *getattr(inspection, name)]
        lines = [shown(each.get("message", ""), 600) for each in items if isinstance(each, Mapping)]
        found.append(list(dict.fromkeys(lines))[:_MAX_LINES])
    return found[0], found[1]


def _splits(pictures: Pictures) -> tuple[list[str], Array]:
    """The splits' names, and each picture's as a number among them; those beyond `_MAX_SPLITS` are one."""
    import numpy as np

    names = list(dict.fromkeys(pictures.splits))
    by_file = np.array([names.index(name) for name in pictures.splits], np.int64)
    numbers = np.minimum(np.repeat(by_file, np.diff(pictures.starts)), _MAX_SPLITS - 1)
    if len(names) > _MAX_SPLITS:
        names[_MAX_SPLITS - 1 :] = [f"{len(names) - _MAX_SPLITS + 1:,} others"]
    return names, numbers


def _class_table(pictures: Pictures, classes: Sequence[str], splits: Array, count: int) -> tuple[list[list[Any]], int]:
    """Label, name, count and count in each split of the first labels; and how many labels there are."""
    import numpy as np

    values, inverse = np.unique(np.array(pictures.labels, np.float32), return_inverse=True)
    held = np.zeros((len(values), max(1, count)), np.int64)
    np.add.at(held, (inverse, splits), 1)
    table: list[list[Any]] = []
    left = _CLASS_BYTES
    for value, row in zip(values[:_MAX_CLASSES].tolist(), held, strict=False):
        table.append([_label(value), _class(value, classes), int(row.sum()), row.tolist()])
        left -= len(json.dumps(table[-1]))
        if left < 0:
            break
    return table, len(values)


def _label(value: float) -> str:
    return "several" if value != value else f"{value:.9g}"


def _class(value: float, classes: Sequence[str]) -> str:
    return shown(classes[int(value)]) if value == value and value.is_integer() and 0 <= value < len(classes) else ""


def _charts(inspection: Inspection, pictures: Pictures, samples: Sequence[Sample]) -> dict[str, list[Bar]]:
    """Charts by title."""
    import numpy as np

    sizes = np.array(pictures.sizes, np.float64)
    charts = {
        "Sizes in pixels": bars(inspection.sizes.items(), 8),
        "Formats": bars(inspection.formats.items(), 8),
    }
    if len(sizes):
        top = float(np.percentile(sizes, 99)) or 1.0
        counts, edges = np.histogram(np.minimum(sizes, top), _BINS, (0, top))
        names = [f"{human_size(low)} to {human_size(high)}" for low, high in pairwise(edges)]
        names[-1] = f"from {human_size(float(edges[-2]))}"
        charts["Bytes of a picture"] = bars(zip(names, counts.tolist(), strict=True), _BINS)
    qualities = Counter(quality for each in samples if (quality := jpeg_quality(each.data)) is not None)
    if qualities:
        named = [(f"quality {quality}", count) for quality, count in sorted(qualities.items(), reverse=True)]
        charts[f"JPEG quality, of {sum(qualities.values()):,} pictures"] = bars(named, 12)
    return {title: rows for title, rows in charts.items() if rows}


def _strips(
    chosen: Sequence[int], samples: Mapping[int, Sample], classes: Sequence[str], pictures: Pictures
) -> list[Strip]:
    album = Album(_SHEET_BYTES)
    by_label: dict[str, list[Picture]] = {}
    values: dict[str, float] = {}
    for row in chosen:
        if (picture := album.picture(samples.get(row), classes)) is not None:
            label = _label(pictures.labels[row])
            values[label] = pictures.labels[row]
            by_label.setdefault(label, []).append(picture)
    return [Strip(label, _class(values[label], classes), len(each), each) for label, each in by_label.items()]


def _finding_rows(rows: FoundRows) -> Iterator[int]:
    for groups in rows.groups.values():
        for group in groups[:_GROUPS]:
            yield from group[:_MEMBERS].tolist()
    for single in rows.singles.values():
        yield from single[:_SINGLES].tolist()


def _findings(
    rows: FoundRows, findings: Findings, samples: Mapping[int, Sample], classes: Sequence[str]
) -> Iterator[Finding]:
    album = Album(_FINDING_BYTES)

    def pictures(chosen: Array) -> list[Picture]:
        made = (album.picture(samples.get(row), classes) for row in chosen.tolist())
        return [picture for picture in made if picture is not None]

    for name, kind in GROUPS.items():
        if groups := rows.groups[name]:
            some = [pictures(group[:_MEMBERS]) for group in groups[:_GROUPS]]
            yield Finding(name, kind.title, kind.meaning, len(groups), [each for each in some if each])
    for name, kind in SINGLES.items():
        if len(single := rows.singles[name]):
            yield Finding(name, kind.title, kind.meaning, len(single), [pictures(single[:_SINGLES])])
    if small := findings.small_classes:
        lines = [shown(f"{class_or_label(each)}: {each['count']}") for each in small[:_MAX_LINES]]
        yield Finding("small_classes", "Small classes", f"Fewer than {SMALL_CLASS} pictures.", len(small), lines=lines)
    if missing := findings.missing_labels:
        lines = [shown(f"{each['split']} lacks {class_or_label(each)}") for each in missing[:_MAX_LINES]]
        yield Finding("missing_labels", "Missing labels", "Labels that a split lacks.", len(missing), lines=lines)
