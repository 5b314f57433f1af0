"""Inspect: what a dataset holds, on one screen."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpu_pack.errors import FormatError, UsageError
from gpu_pack.formats.classes import NAME as CLASSES
from gpu_pack.formats.classes import read_classes
from gpu_pack.formats.image_headers import Header
from gpu_pack.formats.manifest import NAME, histogram
from gpu_pack.formats.notices import Notice
from gpu_pack.formats.rejects import NAME as REJECTS
from gpu_pack.formats.salvage_scan import Damage, salvage_scan
from gpu_pack.recordio.scanning import read_record_header
from gpu_pack.stores.address import StoreOptions
from gpu_pack.stores.data_path import PathLike, data_path
from gpu_pack.tools.check_account import group_rejects
from gpu_pack.tools.check_ranges import check_ranges
from gpu_pack.tools.faults import Fault, Faults, ToolReport, choose_options
from gpu_pack.tools.findings.find import Findings, find
from gpu_pack.tools.image_heads import HEAD_BYTES, read_image_header
from gpu_pack.tools.keys_beside import heads, keys_beside
from gpu_pack.tools.locate import Located, Target, check_counts, locate
from gpu_pack.tools.rec_file import RecFile
from gpu_pack.tools.record_table import RecordTable
from gpu_pack.types import OnProgress

#: Images whose headers are read for sizes and formats.
_SAMPLE = 1000
#: Records among which findings are looked for unasked: decoding them takes a few seconds.
FEW_RECORDS = 10_000


@dataclass(frozen=True)
class InspectOptions:
    """How much to show.

    Attributes:
        first: records shown one by one, 0 to 100,000.
        findings: decode every picture and compare it with the others; None: where there are at most `FEW_RECORDS`, on
            this machine.
    """

    first: int = 5
    findings: bool | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.first <= 100_000:
            raise UsageError(f"first={self.first} (-n): between 0 and 100000")


@dataclass
class RecordInfo:
    """One record.

    Attributes:
        labels: the first hundred; None for one that is not finite.
        format: of the image, or None if it is unknown; ``width`` and ``height`` in pixels, 0 if they are unknown.
        bytes: size of the image.
        metadata: the record holds no picture.
    """

    file: str
    key: int
    labels: list[float | None]
    format: str | None
    width: int
    height: int
    bytes: int
    metadata: bool = False


@dataclass
class FileInfo:
    """One .rec file: its split by the manifest, records and bytes, and whether an .idx and a .lst are beside it.

    ``records`` are those with pictures, ``metadata`` those without.
    """

    name: str
    split: str | None
    records: int
    bytes: int
    indexed: bool
    listed: bool
    metadata: int = 0


@dataclass
class Inspection(ToolReport):
    """What a dataset holds; ``ok`` if nothing is damaged.

    Attributes:
        records, metadata: with and without pictures; what follows is about those with pictures.
        identities: how many InsightFace's ranges are of, None without such ranges.
        labels: count by first label; None if there are too many different ones.
        label_counts: records by their number of labels.
        sampled: images whose headers were read for ``formats`` and ``sizes`` (``WxH``), the most frequent first.
        classes: names by label, or None.
        splits: records by split; with ``rejected``, ``options``, ``versions`` and ``packed_by`` from the manifest.
        rejects: of rejects.jsonl by code, the most frequent first: count, and path (``example``) and reason of one.
        findings: see `gpu_pack.tools.findings.find.Findings`; None where they were not looked for.
        notes, warnings: code, message, count, example.
    """

    path: str
    files: list[FileInfo] = field(default_factory=list)
    records: int = 0
    metadata: int = 0
    identities: int | None = None
    bytes: int = 0
    labels: dict[str, int] | None = None
    label_counts: dict[int, int] = field(default_factory=dict)
    sampled: int = 0
    formats: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    classes: list[str] | None = None
    splits: dict[str, int] = field(default_factory=dict)
    rejected: int | None = None
    rejects: dict[str, dict[str, Any]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    packed_by: dict[str, int] = field(default_factory=dict)
    first: list[RecordInfo] = field(default_factory=list)
    findings: Findings | None = None
    notes: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[dict[str, Any]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    fault_count: int = 0


def inspect(
    path: PathLike,
    *,
    first: int = 5,
    findings: bool | None = None,
    options: InspectOptions | None = None,
    endpoint_url: str | None = None,
    anonymous: bool = False,
    on_progress: OnProgress | None = None,
) -> Inspection:
    """Read the headers of all records and of some images of a folder or a .rec file; look for findings.

    Args:
        first, findings: see `InspectOptions`; or give ``options``.
        endpoint_url, anonymous: see `gpu_pack.stores.address.StoreOptions`.
        on_progress: called a few times a second while findings are looked for.

    Raises:
        SourceError: nothing there, or unreadable.
        UsageError: an option out of range.
    """
    options = choose_options(options, InspectOptions(first, findings))
    located = locate(data_path(path, StoreOptions(endpoint_url, anonymous)))
    result = inspect_located(located, options)
    few = isinstance(located.folder, Path) and result.records <= FEW_RECORDS
    if few if options.findings is None else options.findings:
        result.findings = find(located.targets, result.classes, on_progress or (lambda _: None))
    return result


def inspect_located(located: Located, options: InspectOptions) -> Inspection:
    """What `inspect` tells without findings.

    Raises:
        SourceError: a single file cannot be read.
    """
    run = _Inspector(located, options)
    for target in located.targets:
        with run.faults.collect(target.rec) if located.whole else nullcontext():
            run.add(target)
    return run.finish()


class _Inspector:
    def __init__(self, located: Located, options: InspectOptions) -> None:
        self.located, self.options = located, options
        self.result = Inspection(str(located.folder if located.whole else located.targets[0].rec))
        self.faults = Faults()
        self._notices: list[Notice] = []
        self._firsts = array("f")
        self._label_counts: Counter[int] = Counter()
        self._formats: Counter[str] = Counter()
        self._sizes: Counter[str] = Counter()

    def add(self, target: Target) -> None:
        """Read every header of one file, and some of its images."""
        keys, table, offsets = keys_beside(target, self.faults), RecordTable(), array("Q")
        with RecFile(target.rec, whole=False) as file:
            if spans := heads(target, keys, file.size):
                file.expect(spans)
            for found in salvage_scan(file, payloads=False):
                if isinstance(found, Damage):
                    self.faults.add(target.rec, found.reason, found.at)
                    continue
                table.add(found, keys.of(found.offset, found.info.key))
                if not found.is_metadata:
                    offsets.append(found.offset)
                    self._firsts.append(found.info.labels[0])
                    self._label_counts[len(found.info.labels)] += 1
            self._describe_first(file, table)
            self._sample(file, offsets)
        self._add_file(target, table, file.size)
        self._notices += [*table.notices(target.rec), *([keys.repeated] if keys.repeated is not None else [])]
        foreign = target.manifest is None or target.manifest.target is not None
        if foreign and (ranges := check_ranges(target.rec, table, self.faults)) is not None:
            self.result.identities = (self.result.identities or 0) + ranges.identities

    def _add_file(self, target: Target, table: RecordTable, size: int) -> None:
        metadata = len(table.metadata)
        records = len(table.keys) - metadata
        beside = target.idx.is_file(), target.lst.is_file()
        self.result.files.append(FileInfo(target.rec.name, target.split, records, size, *beside, metadata))
        self.result.records += records
        self.result.metadata += metadata
        self.result.bytes += size

    def finish(self) -> Inspection:
        """The result, with what manifest and classes.txt add."""
        result, located, manifest = self.result, self.located, self.located.manifest
        if located.whole and not self.faults.count:
            records: Counter[str | None] = Counter()
            for item in result.files:
                records[item.split] += item.records
            check_counts(located.targets, records, self.faults)
        result.labels = histogram(label for label in self._firsts if label == label)
        result.label_counts = dict(sorted(self._label_counts.items()))
        result.formats, result.sizes = dict(self._formats.most_common()), dict(self._sizes.most_common())
        if located.damage is not None:
            self.faults.add(located.folder / NAME, located.damage.reason)
        if manifest is not None:
            result.rejected, result.packed_by = manifest.rejected, manifest.packed_by
            result.splits = {name: split.packed for name, split in manifest.splits.items()}
            for name in ("options", "versions"):
                value = manifest.document.get(name)
                setattr(result, name, value if isinstance(value, dict) else {})
        path = located.folder / CLASSES
        with self.faults.collect(path):
            result.classes = list(read_classes(path)) if path.exists() else None
        path = located.folder / REJECTS
        if located.whole and path.exists():
            with self.faults.collect(path):
                result.rejects = group_rejects(path, self.faults)
        result.set_faults(self.faults)
        result.set_notices(self._notices)
        return result

    def _describe_first(self, file: RecFile, table: RecordTable) -> None:
        missing = max(0, self.options.first - len(self.result.first))
        rows = list(zip(table.offsets[:missing], table.keys[:missing], strict=True))
        file.expect((offset, HEAD_BYTES) for offset, _ in rows)
        self.result.first += [_describe(file, offset, key) for offset, key in rows]

    def _sample(self, file: RecFile, offsets: array[int]) -> None:
        """Count formats and sizes of images that are spread evenly over the file."""
        share = max(1, _SAMPLE // len(self.located.targets))
        sample = offsets[:: max(1, -(-len(offsets) // share))]
        file.expect((offset, HEAD_BYTES) for offset in sample)
        for offset in sample:
            info = _describe(file, offset)
            self._formats[info.format or "unknown"] += 1
            if info.width:
                self._sizes[f"{info.width}x{info.height}"] += 1
            self.result.sampled += 1


def _describe(file: RecFile, offset: int, key: int = 0) -> RecordInfo:
    file.begin_record(offset)
    try:
        info = read_record_header(file.read_at, offset, file.size)
        header = read_image_header(file, info)
    except FormatError:  # another process has written to the file since it was scanned
        return RecordInfo(file.path.name, 0, [], None, 0, 0, 0)
    size = info.data_size
    labels = [label if math.isfinite(label) else None for label in info.labels[:100]]
    if not isinstance(header, Header):
        return RecordInfo(file.path.name, key, labels, header, 0, 0, size, not size)
    return RecordInfo(file.path.name, key, labels, header.format, header.width, header.height, size)
