"""Inspect: what is in a dataset, on one screen."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpu_pack.errors import FormatError, GpuPackError, UsageError
from gpu_pack.formats.image_headers import ImageError, read_header, sniff
from gpu_pack.pipeline.report import histogram
from gpu_pack.recordio.scanning import read_header as read_record_header
from gpu_pack.recordio.scanning import read_record
from gpu_pack.tools.check_account import CLASSES, read_class_names
from gpu_pack.tools.faults import Fault, Faults
from gpu_pack.tools.locate import Located, Target, locate, other_count
from gpu_pack.tools.rec_file import RecFile
from gpu_pack.tools.salvage_scan import Damage, salvage_scan

#: Images whose headers are looked at for sizes and formats.
_SAMPLE = 1000


@dataclass(frozen=True)
class InspectOptions:
    """How much to show.

    Attributes:
        first: records shown one by one.

    Raises:
        UsageError: a negative number, or a very large one.
    """

    first: int = 5

    def __post_init__(self) -> None:
        if not 0 <= self.first <= 100_000:
            raise UsageError(f"-n {self.first}: between 0 and 100000")


@dataclass
class Shown:
    """One record.

    Attributes:
        labels: the first hundred; None for one that is not finite.
        format: of its image, or None where it is none that we know; ``width`` and ``height`` are 0 then.
    """

    file: str
    key: int
    labels: list[float | None]
    format: str | None
    width: int
    height: int
    bytes: int


@dataclass
class FileInfo:
    """One .rec file: its split where a manifest names it, records, and bytes."""

    name: str
    split: str | None
    records: int
    bytes: int
    indexed: bool
    listed: bool


@dataclass
class Inspection:
    """What is in a dataset.

    Attributes:
        labels: how often each first label comes; None where there are too many different ones.
        label_counts: how many records have so many labels.
        sampled: images whose headers ``formats`` and ``sizes`` (``WxH``, by frequency) are taken from.
        classes: names by label, or None.
        options, versions, packed_by: from the manifest; empty without one.
    """

    path: str
    files: list[FileInfo] = field(default_factory=list)
    records: int = 0
    bytes: int = 0
    labels: dict[str, int] | None = None
    label_counts: dict[int, int] = field(default_factory=dict)
    sampled: int = 0
    formats: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    classes: list[str] | None = None
    splits: dict[str, int] = field(default_factory=dict)
    rejected: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    packed_by: dict[str, int] = field(default_factory=dict)
    first: list[Shown] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    fault_count: int = 0

    @property
    def ok(self) -> bool:
        return self.fault_count == 0

    def to_json(self) -> dict[str, Any]:
        """Plain values, for ``--json``."""
        plain = {"files": [vars(item) for item in self.files], "first": [vars(item) for item in self.first]}
        return {"ok": self.ok, **self.__dict__, **plain, "faults": [fault.to_json() for fault in self.faults]}


def inspect(path: str | Path, options: InspectOptions | None = None) -> Inspection:
    """Look into a folder or a .rec file: all headers of records, and the headers of some images.

    Raises:
        SourceError: nothing there, or unreadable.
    """
    located = locate(Path(path))
    run = _Inspector(located, options or InspectOptions())
    for target in located.targets:
        run.look(target)
    if located.whole and not run.faults.count:
        run.check_counts()
    return run.finish()


class _Inspector:
    def __init__(self, located: Located, options: InspectOptions) -> None:
        self.located, self.options = located, options
        self.result = Inspection(str(located.folder if located.whole else located.targets[0].rec))
        self.faults = Faults()
        self._firsts = array("f")
        self._counts: Counter[int] = Counter()
        self._formats: Counter[str] = Counter()
        self._sizes: Counter[str] = Counter()

    def look(self, target: Target) -> None:
        """Every header of one file, and some of its images."""
        offsets = array("Q")
        try:
            with RecFile(target.rec, whole=False) as file:
                for found in salvage_scan(file, payloads=False):
                    if isinstance(found, Damage):
                        self.faults.add(Fault(str(target.rec), found.reason, found.offset))
                    elif found.info is not None:
                        offsets.append(found.offset)
                        self._firsts.append(found.info.labels[0])
                        self._counts[len(found.info.labels)] += 1
                self._sample(file, target, offsets)
                size = file.size
        except GpuPackError as error:
            if not self.located.whole:
                raise
            self.faults.add(Fault(str(target.rec), str(error).removeprefix(f"{target.rec}: ")))
            return
        there = target.idx.is_file(), target.lst.is_file()
        self.result.files.append(FileInfo(target.rec.name, target.split, len(offsets), size, *there))
        self.result.records += len(offsets)
        self.result.bytes += size

    def check_counts(self) -> None:
        """A file cut between two records looks whole: only the manifest knows how many there were."""
        for target in {target.split: target for target in self.located.targets}.values():
            records = sum(item.records for item in self.result.files if item.split == target.split)
            if wrong := other_count(target, records):
                self.faults.add(wrong)

    def _sample(self, file: RecFile, target: Target, offsets: array[int]) -> None:
        """The first records, one by one, and images evenly from the whole file."""
        missing = self.options.first - len(self.result.first)
        share = max(1, _SAMPLE // len(self.located.targets))
        step = max(1, -(-len(offsets) // share))
        for row in range(min(missing, len(offsets))):
            self.result.first.append(_show(file, target.rec.name, offsets[row]))
        for offset in offsets[::step]:
            shown = _show(file, target.rec.name, offset)
            self._formats[shown.format or "unknown"] += 1
            if shown.width:
                self._sizes[f"{shown.width}x{shown.height}"] += 1
            self.result.sampled += 1

    def finish(self) -> Inspection:
        """The result, with what manifest and classes add."""
        result, manifest = self.result, self.located.manifest
        result.labels = histogram(label for label in self._firsts if label == label)
        result.label_counts = dict(sorted(self._counts.items()))
        result.formats, result.sizes = dict(self._formats.most_common()), dict(self._sizes.most_common())
        if self.located.damage is not None:
            damage = self.located.damage
            self.faults.add(Fault(damage.path or str(self.located.folder), damage.reason))
        if manifest is not None:
            result.rejected, result.packed_by = manifest.rejected, manifest.packed_by
            result.splits = {name: split.packed for name, split in manifest.splits.items()}
            for name in ("options", "versions"):
                value = manifest.document.get(name)
                setattr(result, name, value if isinstance(value, dict) else {})
        path = self.located.folder / CLASSES
        try:
            result.classes = read_class_names(path) if path.exists() else None
        except GpuPackError as error:
            self.faults.add(Fault(str(path), str(error).removeprefix(f"{path}: ")))
        result.faults, result.fault_count = self.faults.sorted(), self.faults.count
        return result


def _show(file: RecFile, name: str, offset: int) -> Shown:
    file.begin_record()
    try:
        info = read_record_header(file.read_at, offset, file.size)
        payload = read_record(file.read_at, offset, file.size).payload
    except FormatError:  # it was whole a moment ago: somebody writes to the file
        return Shown(name, 0, [], None, 0, 0, 0)
    data = payload[len(payload) - info.data_size :] if info.data_size else b""
    labels = [label if math.isfinite(label) else None for label in info.labels[:100]]
    try:
        header = read_header(data)
    except ImageError:
        return Shown(name, info.key, labels, sniff(data), 0, 0, len(data))
    return Shown(name, info.key, labels, header.format, header.width, header.height, len(data))
