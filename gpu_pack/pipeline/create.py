"""`gpu-pack create`, readable as prose: list, divide, plan; pack the shards; publish; report."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from gpu_pack.backends import choose
from gpu_pack.errors import OutputError, OutputExistsError, SourceError, UsageError
from gpu_pack.formats.classes import NAME as CLASSES
from gpu_pack.formats.classes import format_classes
from gpu_pack.formats.manifest import NAME as MANIFEST
from gpu_pack.formats.manifest import manifest_bytes, published_document
from gpu_pack.formats.notices import Notice, select
from gpu_pack.formats.rejects import NAME as REJECTS
from gpu_pack.formats.rejects import Reject, reject_line
from gpu_pack.output.staging import Staging, differences, refuse_existing
from gpu_pack.pipeline.depth import with_depth_bits
from gpu_pack.pipeline.options import CreateOptions
from gpu_pack.pipeline.pack_shards import refuse_warnings, strict_error
from gpu_pack.pipeline.plan import PackResult, Plan, gpu_options, lists_digest, merge, versions
from gpu_pack.pipeline.report import Report, account, manifest, planned
from gpu_pack.pipeline.run import Publication, all_rejects, publish_once, run
from gpu_pack.sources.given import GivenImages
from gpu_pack.sources.list_source import list_source
from gpu_pack.sources.listing import Listing
from gpu_pack.sources.missing_classes import missing_classes
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.splits import UNDIVIDED, Division, Shard, divide
from gpu_pack.sources.spool import Spool
from gpu_pack.stores.address import is_address
from gpu_pack.stores.atomic_file import hash_file, write_atomically
from gpu_pack.types import OnProgress

_STAGING = ".gpu-pack"
_SPOOL = ".gpu-pack-spool"


def create(sources: Sequence[str] | GivenImages, out: Path, options: CreateOptions, on_progress: OnProgress) -> Report:
    """Pack sources into RecordIO files under ``out``; the same call resumes an interrupted run.

    Raises:
        GpuPackError: see `gpu_pack.errors`; whatever was written stays, and can be resumed.
    """
    policy = CreatePolicy(options.overwrite)
    with Spool(None if options.dry_run else out / _SPOOL) as spool:
        made = plan(sources, out, options, spool)
        if options.dry_run:
            return planned(made, policy.seconds)
        choice = choose(made.spec, made.device)
        return Report.from_json(run(made, policy, choice, on_progress))


def plan(sources: Sequence[str] | GivenImages, out: Path, options: CreateOptions, spool: Spool) -> Plan:
    """List and divide sources: everything that is known before the first image is read.

    Args:
        sources: paths or addresses, none where every split has its own; or images that a caller in Python gave.
        out: the output folder.
        options: of the run.
        spool: for images that cannot be read where they lie; the plan's shards can be packed while it is open.

    Raises:
        GpuPackError: there is nothing that can be packed as asked.
    """
    source = _check_sources(sources, options.split_sources, out)
    listing = list_source(sources, options.source, spool, options.split_sources)
    if options.strict and listing.unlistable:
        raise strict_error(listing.unlistable[0])
    _note_records(listing, options)
    division = _with_order(options.division, listing)
    shards = tuple(_divide(source, listing, division))
    if options.strict:
        refuse_warnings(select(listing.notices, "warning"))
    rows = (row for shard in shards for row in shard.rows)
    spec = with_depth_bits(options.spec, listing, rows, options.device.workers)
    identity = _identity(replace(options, spec=spec, division=division), listing, shards)
    return Plan(
        source, out, _STAGING, listing, shards, spec, options.device, identity, options.strict, boxes=options.boxes
    )


def publish(plan: Plan, results: Iterable[PackResult], *, overwrite: bool = False) -> Report:
    """Publish the packed shards of a plan, wherever and in however many calls they were packed.

    Raises:
        OutputError: shards are missing, or it cannot be written.
        OutputExistsError: there are other files of the same names.
    """
    policy = CreatePolicy(overwrite)
    return Report.from_json(publish_once(plan, policy, merge(plan, results)))


def _note_records(listing: Listing, options: CreateOptions) -> None:
    """Note what packing records again does to their splits and pictures; fractions take the place of their splits."""
    own = listing.own_splits
    if own is not None and not own.bind and options.division.splits:
        listing.own_splits = None
        listing.notices.append(Notice("split-anew", len(own.names), ", ".join(own.names)))
    if listing.records and options.spec.encoding == "jpg" and not options.spec.pass_through:
        listing.notices.append(Notice("re-encoded", listing.records))


def _with_order(division: Division, listing: Listing) -> Division:
    """With ``shuffle`` decided: a list that nothing divides keeps its own order unless told otherwise."""
    if division.shuffle is not None:
        return division
    if (
        listing.ordered
        and listing.own_splits is None
        and [fraction for _, fraction in division.splits or UNDIVIDED] == [1]
    ):
        return replace(division, shuffle=False, stratify=False)
    return replace(division, shuffle=True)


def _divide(source: str, listing: Listing, division: Division) -> list[Shard]:
    """The shards; classes that splits lack are added to the listing's notices."""
    own, classes = listing.own_splits, listing.classes is not None
    if own is None:
        shards = divide(listing.labels, division, classes=classes)
        listing.notices += filter(None, [missing_classes(listing.labels, shards, classes)])
        return shards
    if division.splits:
        raise UsageError(
            f"splits (--split): {source} is divided already, into {', '.join(own.names)}: leave --split out, give one "
            "of them alone as the source, or take folders for classes with layout='classes' (--layout classes), and "
            "tables for undivided with split_column='none' (--split-column none)"
        )
    return divide(listing.labels, division, own)


def _identity(options: CreateOptions, listing: Listing, shards: Sequence[Shard]) -> dict[str, Any]:
    """What must be the same for a run to be resumed; it stands in the manifest too."""
    division = options.division
    return {
        "versions": versions(options.spec, options.device),
        "options": {
            **asdict(options.spec),
            "splits": _splits(listing, division),
            **{name: getattr(division, name) for name in ("seed", "shuffle", "stratify", "shards")},
            **_source_options(options.source),
            "device": options.device.device,
            "encoder": options.device.encoder,
            **gpu_options(options.spec, options.device),
            "boxes": options.boxes,
            "strict": options.strict,
        },
        "lists": lists_digest(listing, shards),
    }


def _source_options(options: SourceOptions) -> dict[str, Any]:
    """Those that decide labels; paths do not, since what they name is in the lists."""
    names = ("source_format", "layout", "class_order", "list_format", "image_key", "label_key", "path_column")
    others = ("label_column", "split_column", "rekey")
    return {name: getattr(options, name) for name in (*names, *others)}


def _splits(listing: Listing, division: Division) -> dict[str, str]:
    if listing.own_splits is not None:
        return dict.fromkeys(listing.own_splits.names, "as in the source")
    return {name: str(fraction) for name, fraction in division.splits or UNDIVIDED}


@dataclass
class CreatePolicy:
    """How create publishes: a manifest, one rejects.jsonl, and never over other files unless asked to.

    Attributes:
        overwrite: replace what an earlier run published.
    """

    overwrite: bool = False
    _clock: float = field(default_factory=time.monotonic)
    _started: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))

    @property
    def seconds(self) -> float:
        """Since this run began."""
        return time.monotonic() - self._clock

    def refuse_outputs(self, plan: Plan, staging: Staging) -> None:
        """See `Policy.refuse_outputs`."""
        found = published_document(plan.out)
        interrupted = staging.identity() is not None
        if self.overwrite or (interrupted and found is None):
            return
        try:
            if found is not None:
                raise OutputExistsError(_in_the_way(plan, found, interrupted))
            refuse_existing(plan.out, _published_names(plan))
        except OutputExistsError:
            if not interrupted:
                staging.discard()
            raise

    def replace_run(self, plan: Plan, reason: str) -> None:
        """See `Policy.replace_run`."""
        if not self.overwrite:
            raise OutputExistsError(
                f"{plan.out}: an interrupted run lies there, and {reason}: undo that to resume it, or start anew with "
                "overwrite=True (--overwrite)"
            )

    def nothing_packed(self, plan: Plan, rejects: Sequence[Reject]) -> SourceError:
        """See `Policy.nothing_packed`."""
        first = rejects[0]
        return SourceError(
            f"{plan.source}: none of its {len(rejects):,} images can be packed, so nothing was written; "
            f"the first: {first['path']}, at {first['stage']}: {first['reason']}"
        )

    def publication(self, plan: Plan, staging: Staging, packed: PackResult) -> Publication:
        """See `Policy.publication`."""
        rejects = all_rejects(plan, packed)
        report = account(plan, packed, rejects)
        if plan.strict:
            refuse_warnings(report.warnings)
        write_atomically(staging.path(REJECTS), b"".join(map(reject_line, rejects)))
        if plan.listing.classes is not None:
            write_atomically(staging.path(CLASSES), format_classes(plan.listing.classes))
        names = _published_names(plan)
        known = {shard.name + ".rec": shard.digest for shard in packed.shards}
        for name in names[:-1]:
            path = staging.path(name)
            report.files[name] = {"bytes": path.stat().st_size, "sha256": known.get(name) or hash_file(path)}
        report.seconds = self.seconds
        report.images_per_second = (report.packed + report.rejected - report.resumed) / max(report.seconds, 1e-9)
        document = manifest(report, plan.identity, self._started)
        write_atomically(staging.path(MANIFEST), manifest_bytes(document))
        return Publication(names, _stale(published_document(plan.out)), report.to_json())


def _published_names(plan: Plan) -> list[str]:
    names = [shard.name + suffix for shard in plan.shards for suffix in (".rec", ".idx", ".lst")]
    return [*names, *([CLASSES] if plan.listing.classes is not None else []), REJECTS, MANIFEST]


def _in_the_way(plan: Plan, found: dict[str, Any], interrupted: bool) -> str:
    finished = f"{plan.out}: a finished run lies there ({found.get('packed')} images packed"
    if interrupted:
        return (
            f"{finished}), and an interrupted one that was to replace it: resume that with overwrite=True (--overwrite)"
        )
    now = {name: plan.identity[name] for name in ("versions", "options") if isinstance(found.get(name), dict)}
    others = "".join(f"; {each}" for each in differences({name: found[name] for name in now}, now))
    return f"{finished}{others}): choose another output, or replace it with overwrite=True (--overwrite)"


def _check_sources(sources: Sequence[str] | GivenImages, splits: Sequence[tuple[str, str]], out: Path) -> str:
    """The names of all sources; each split has one of its own, or none has."""
    named = [str(sources)] if isinstance(sources, GivenImages) else list(sources)
    if bool(named) == bool(splits):
        raise UsageError(
            f"splits {splits[0][0]}={splits[0][1]} (--split) and {named[0]} both name a source: give every split one "
            "of its own, or none"
            if named
            else "SOURCE is missing: give SOURCE and OUT, or a source for each split (--split NAME=SOURCE)"
        )
    names = named + [source for _, source in splits]
    for source in () if isinstance(sources, GivenImages) else names:
        if not is_address(source):
            _refuse_inside(Path(source), out)
    return ", ".join(names)


def _refuse_inside(source: Path, out: Path) -> None:
    """OUT inside SOURCE would be taken for a class the next time."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: a file of that name is in the way of the output folder")
    inner, outer = Path(os.path.realpath(out)), Path(os.path.realpath(source))  # which take links to themselves, too
    if source.is_dir() and (inner == outer or outer in inner.parents):
        raise UsageError(f"{out}: the output lies inside the source {source}: choose a folder outside of it")


def _stale(found: dict[str, Any] | None) -> list[str]:
    """The names that an earlier run published, as far as they are plain names, and what was made of them."""
    names = [MANIFEST, "sagemaker.json", *found["files"]] if found is not None else []
    return [name for name in names if Path(name).name == name]
