"""Counts, rejects and the manifest: the account of a run, in which every listed image appears once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from gpu_pack.errors import GpuPackError
from gpu_pack.formats.manifest import MAX_LABELS, counted
from gpu_pack.formats.notices import Notice, merge_notices, select
from gpu_pack.formats.rejects import Reject
from gpu_pack.output.checkpoint import BACKENDS
from gpu_pack.pipeline.plan import Plan
from gpu_pack.pipeline.results import PackResult
from gpu_pack.sources.listing import Listing
from gpu_pack.sources.splits import Shard


@dataclass
class SplitCount:
    """One split's images.

    Attributes:
        labels: how many packed images bear each label (the first, where there are several); None where there are
            too many labels to count.
        shards: the .rec files.
    """

    listed: int = 0
    packed: int = 0
    rejected: int = 0
    labels: dict[str, int] | None = None
    shards: list[str] = field(default_factory=list)


@dataclass
class Report:
    """What a run did.

    Attributes:
        out: the folder, or its address.
        listed: images in the source; ``packed + rejected + left_out`` of them.
        left_out: images that the fractions of ``--split`` gave to no split.
        skipped: files in the source that were no images, by suffix.
        rejects: rejected images by stage.
        packed_by: packed images by backend.
        encoder: the GPU path's JPEG encoder, ``nvjpeg``, ``cuda`` or ``cpu``; None where there was no GPU.
        jpeg_engines: whether the GPU's JPEG engines worked, as half a sentence; None where there was no GPU.
        device, reason: what ran, and why that.
        seconds, images_per_second: of this call; ``resumed`` images were there from before it.
        broken: one sentence for each worker that was given up on the way.
        batch_failures: what failed on the GPU (batches, pictures with wrong pixels, encoders under ``auto``), and how
            often; the images were packed another way.
        repeated_requests: to object stores that failed for a moment.
        notes, warnings: what was done as asked, and what may train wrongly: code, message, count, example.
        files: size and sha256 of each published file.
        machines: who packed what, where several calls did: by machine its device, encoder, shards (as ``0,2-5``),
            images, the seconds in which it packed, and images a second of these.
        dry_run: nothing was written; ``packed`` is 0.
    """

    out: str
    listed: int = 0
    packed: int = 0
    rejected: int = 0
    left_out: int = 0
    splits: dict[str, SplitCount] = field(default_factory=dict)
    classes: int | None = None
    skipped: dict[str, int] = field(default_factory=dict)
    rejects: dict[str, int] = field(default_factory=dict)
    packed_by: dict[str, int] = field(default_factory=dict)
    device: str = ""
    reason: str = ""
    workers: int = 0
    seconds: float = 0.0
    images_per_second: float = 0.0
    resumed: int = 0
    broken: list[str] = field(default_factory=list)
    batch_failures: dict[str, int] = field(default_factory=dict)
    repeated_requests: int = 0
    notes: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    encoder: str | None = None
    jpeg_engines: str | None = None
    machines: dict[str, dict[str, Any]] = field(default_factory=dict)
    dry_run: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain values, for ``--json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Report:
        """The report that `to_json` made ``value`` of."""
        return cls(**{**value, "splits": {name: SplitCount(**count) for name, count in value["splits"].items()}})

    def check(self) -> None:
        """Every listed image is packed, rejected or left out by the fractions; otherwise nothing is published.

        Raises:
            GpuPackError: the account does not balance, which is a bug.
        """
        if self.packed + self.rejected + self.left_out != self.listed:
            raise GpuPackError(
                f"{self.out}: of {self.listed} listed images, {self.packed} are packed, {self.rejected} rejected and "
                f"{self.left_out} left out: nothing is published; please report this"
            )


def manifest(report: Report, identity: dict[str, Any], started: str) -> dict[str, Any]:
    """The manifest.json of a finished run; what depends on the day and the machine is all under ``run``."""
    return {
        "format": 1,
        **identity,
        "listed": report.listed,
        "packed": report.packed,
        "rejected": report.rejected,
        "left_out": report.left_out,
        "classes": report.classes,
        "splits": {name: asdict(count) for name, count in report.splits.items()},
        "rejects": report.rejects,
        "packed_by": report.packed_by,
        "skipped": report.skipped,
        "notes": report.notes,
        "warnings": report.warnings,
        "files": report.files,
        "run": {
            "started": started,
            "seconds": round(report.seconds, 3),
            "images_per_second": round(report.images_per_second, 1),
            "resumed": report.resumed,
            "device": report.device,
            "reason": report.reason,
            "workers": report.workers,
            "broken": report.broken,
            "batch_failures": report.batch_failures,
            "repeated_requests": report.repeated_requests,
            "encoder": report.encoder,
            "jpeg_engines": report.jpeg_engines,
            "machines": report.machines,
        },
    }


def account(plan: Plan, packed: PackResult, rejects: Sequence[Reject]) -> Report:
    """The report of a run, counted from what the files hold.

    Raises:
        GpuPackError: the counts do not balance, which is a bug.
    """
    report = Report(
        plan.place,
        listed=plan.listing.listed,
        rejected=len(rejects),
        rejects=dict(sorted(Counter(value["stage"] for value in rejects).items())),
        resumed=sum(shard.resumed for shard in packed.shards),
        device=packed.device,
        reason=packed.reason,
        workers=packed.workers,
        encoder=packed.encoder,
        jpeg_engines=packed.jpeg_engines,
        broken=list(packed.broken),
        batch_failures=dict(packed.batch_failures),
        repeated_requests=packed.repeated_requests,
        machines=packed.machines,
    )
    labels = _LabelCounts(plan.listing)
    packed_by: Counter[str] = Counter()
    for shard, result in zip(plan.shards, packed.shards, strict=True):
        count = report.splits.setdefault(shard.split, SplitCount())
        labels.add(shard, result.rejects)
        count.listed += len(shard.rows)
        count.packed += result.records
        count.rejected += len(result.rejects)
        count.shards.append(shard.name + ".rec")
        packed_by.update(result.packed_by)
    for name, count in report.splits.items():
        count.labels = counted(labels.of[name])
    report.packed_by = {name: packed_by[name] for name in BACKENDS if packed_by[name]}
    report.packed = sum(count.packed for count in report.splits.values())
    _add_listing(report, plan.listing)
    _add_notices(report, [*plan.listing.notices, *(each for shard in packed.shards for each in shard.notices)])
    report.check()
    return report


def planned(plan: Plan, seconds: float) -> Report:
    """What a run of this plan would do."""
    report = Report(plan.place, listed=plan.listing.listed, dry_run=True, seconds=seconds)
    report.rejected = len(plan.listing.rejects)
    labels = _LabelCounts(plan.listing)
    for shard in plan.shards:
        count = report.splits.setdefault(shard.split, SplitCount())
        count.listed += len(shard.rows)
        count.shards.append(shard.name + ".rec")
        labels.add(shard)
    for name, count in report.splits.items():
        count.labels = counted(labels.of[name])
    _add_listing(report, plan.listing)
    _add_notices(report, plan.listing.notices)
    return report


def _add_notices(report: Report, found: Iterable[Notice]) -> None:
    merged = merge_notices(found)
    report.notes, report.warnings = select(merged, "note"), select(merged, "warning")


def _add_listing(report: Report, listing: Listing) -> None:
    report.left_out = len(listing) + listing.left_out - sum(count.listed for count in report.splits.values())
    report.classes = len(listing.classes) if listing.classes is not None else None
    report.skipped = dict(sorted(listing.skipped.items()))


class _LabelCounts:
    """Counts the first labels of packed images, by split.

    Attributes:
        of: the counts; of too many labels, some.
    """

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self.of: dict[str, Counter[float]] = {}

    def add(self, shard: Shard, rejects: Sequence[Reject] = ()) -> None:
        """Count a shard's images."""
        counts = self.of.setdefault(shard.split, Counter())
        if len(counts) <= 2 * MAX_LABELS:
            counts.update(self._listing.labels.count_firsts(shard.rows))
        if rejects:
            counts.subtract(self._listing.labels.count_firsts(self._rejected(shard, rejects)))

    def _rejected(self, shard: Shard, rejects: Sequence[Reject]) -> list[int]:
        bad, keys, paths = {(value["key"], value["path"]) for value in rejects}, self._listing.keys, self._listing.paths
        bad_keys = {key for key, _ in bad}
        return [row for row in shard.rows if (key := keys.at(row)) in bad_keys and (key, paths.at(row)) in bad]
