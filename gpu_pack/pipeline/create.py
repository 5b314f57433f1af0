"""The run, readable as prose: list, divide, read, transform, write, publish, report.

(The function is `gpu_pack.create`; a module of that name would hide it.)
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from gpu_pack.backends import Choice, DeviceOptions, choose
from gpu_pack.errors import OutputError, OutputExistsError, SourceError, UsageError
from gpu_pack.formats.manifest import with_checksum
from gpu_pack.formats.native_stderr import captured
from gpu_pack.output.checkpoint import BACKENDS
from gpu_pack.output.staging import Staging, differences, refuse_existing
from gpu_pack.pipeline.pack_shards import write_shards
from gpu_pack.pipeline.report import RejectLog, Report, SplitCount, from_manifest, histogram, manifest
from gpu_pack.pipeline.resume import (
    OnProgress,
    Progress,
    RunContext,
    ShardProgress,
    begin,
    list_digests,
    obstacle,
    resume,
    strict_error,
    versions,
)
from gpu_pack.sources.list_source import list_source, read_classes
from gpu_pack.sources.listing import Listing
from gpu_pack.sources.splits import Division, Shard, divide
from gpu_pack.stores.atomic_file import hash_file, write_durably
from gpu_pack.types import TransformSpec

__all__ = ["CreateOptions", "Progress", "create"]

_REJECTS, _CLASSES, _MANIFEST = "rejects.jsonl", "classes.txt", "manifest.json"


@dataclass(frozen=True)
class CreateOptions:
    """Everything that `create` can be told.

    Attributes:
        spec: what happens to each image.
        division: splits, order and shards.
        device: what to run on.
        root: folder that a .lst file's paths start from; None for the list's own folder.
        classes: a classes.txt whose label numbers are to be used.
        strict: the first bad image fails the run, and nothing is published.
        overwrite: replace what an earlier run published.
        dry_run: list and divide only.
        allow_outside: let a .lst file name files outside of ``root``.
    """

    spec: TransformSpec = field(default_factory=TransformSpec)
    division: Division = field(default_factory=Division)
    device: DeviceOptions = field(default_factory=DeviceOptions)
    root: Path | None = None
    classes: Path | None = None
    strict: bool = False
    overwrite: bool = False
    dry_run: bool = False
    allow_outside: bool = False


def create(
    source: str | Path, out: str | Path, options: CreateOptions | None = None, on_progress: OnProgress | None = None
) -> Report:
    """Pack a folder or a .lst file into RecordIO files under ``out``.

    The same call again after an interruption goes on where it stopped.

    Raises:
        GpuPackError: see `gpu_pack.errors`; whatever was written stays, and can be gone on with.
    """
    with captured():
        return _CreateRun(Path(source), Path(out), options or CreateOptions(), on_progress or (lambda _: None)).run()


class _CreateRun:
    def __init__(self, source: Path, out: Path, options: CreateOptions, on_progress: OnProgress) -> None:
        self.source, self.out, self.options, self.on_progress = source, out, options, on_progress
        self.clock = time.monotonic()
        self.started = datetime.now(timezone.utc).isoformat(timespec="seconds")

    def run(self) -> Report:
        _refuse_inside(self.source, self.out)
        listing = self._list()
        shards = divide(listing.labels, self.options.division)
        if self.options.dry_run:
            return self._plan(listing, shards)
        choice = choose(self.options.spec, self.options.device)
        with Staging(self.out) as staging:
            return self._finish_earlier(staging, listing, shards) or self._pack(staging, listing, shards, choice)

    def _list(self) -> Listing:
        options = self.options
        classes = read_classes(options.classes) if options.classes is not None else None
        listing = list_source(self.source, options.root, classes, allow_outside=options.allow_outside)
        if options.strict and listing.unlistable:
            raise strict_error(listing.unlistable[0])
        self.options = replace(options, division=self._settled(options.division))
        return listing

    def _settled(self, division: Division) -> Division:
        """With ``shuffle`` decided: a list that nothing divides keeps its own order unless told otherwise."""
        if division.shuffle is not None:
            return division
        if self.source.is_file() and [fraction for _, fraction in division.splits] == [1]:
            return replace(division, shuffle=False, stratify=False)
        return replace(division, shuffle=True)

    # ---- what may lie there already

    def _finish_earlier(self, staging: Staging, listing: Listing, shards: list[Shard]) -> Report | None:
        """The report of this very run, if it was killed while it published; else make sure nothing is in the way."""
        published = staging.finish_publishing()
        found = _read_manifest(self.out)
        if published:
            staging.reopen()
            identity = _plain(self._identity(list_digests(listing, shards)))
            if found is not None and all(found.get(name) == value for name, value in identity.items()):
                staging.discard()
                return from_manifest(str(self.out), found)
        interrupted = staging.identity() is not None
        if self.options.overwrite or (interrupted and found is None):
            return None
        try:
            if found is not None:
                raise OutputExistsError(self._in_the_way(found, interrupted))
            refuse_existing(self.out, self._published_names(listing, shards))
        except OutputExistsError:
            if not interrupted:
                staging.discard()
            raise
        return None

    def _in_the_way(self, found: dict[str, Any], interrupted: bool) -> str:
        finished = f"{self.out}: a finished run lies there ({found.get('packed')} images packed"
        if interrupted:
            return f"{finished}), and an interrupted one that was to replace it: go on with that by --overwrite"
        return f"{finished}{self._others(found)}): choose another output, or replace it with --overwrite"

    def _others(self, found: dict[str, Any]) -> str:
        """In what a finished run's options and versions differ from this one's, in words; empty where in nothing."""
        now = {name: value for name, value in self._identity({}).items() if isinstance(found.get(name), dict) and value}
        return "".join(f"; {each}" for each in differences({name: found[name] for name in now}, now))

    def _published_names(self, listing: Listing, shards: list[Shard]) -> list[str]:
        names = [shard.name + suffix for shard in shards for suffix in (".rec", ".idx", ".lst")]
        return [*names, *([_CLASSES] if listing.classes is not None else []), _REJECTS, _MANIFEST]

    def _identity(self, lists: dict[str, str]) -> dict[str, Any]:
        """What must be the same for a run to be gone on with; it stands in the manifest too."""
        options = self.options
        return {
            "versions": versions(options.spec),
            "options": {
                **asdict(options.spec),
                "splits": {name: str(fraction) for name, fraction in options.division.splits},
                **{name: getattr(options.division, name) for name in ("seed", "shuffle", "stratify", "shards")},
                "device": options.device.device,
                "encoder": options.device.encoder,
                "strict": options.strict,
            },
            "lists": lists,
        }

    # ---- the work

    def _pack(self, staging: Staging, listing: Listing, shards: list[Shard], choice: Choice) -> Report:
        options = self.options
        rejects = RejectLog(staging.path(_REJECTS))
        work = RunContext(
            staging, listing, shards, options.spec, options.device, rejects, self.on_progress, options.strict
        )
        parts = self._begin(work)
        resumed = sum(len(part.written.keys) for part in parts)
        ran = write_shards(work, parts, choice)
        self._refuse_nothing(work, parts)
        report = Report(
            str(self.out),
            listed=len(listing) + len(listing.unlistable),
            resumed=resumed,
            device=ran.choice.device,
            reason=ran.choice.reason,
            workers=ran.workers,
            encoder=ran.encoder,
            broken=ran.broken,
        )
        return self._publish(work, parts, report)

    def _begin(self, work: RunContext) -> list[ShardProgress]:
        """Go on with the interrupted run that lies there, if it is this one; else begin."""
        if work.staging.identity() is not None:
            reason = obstacle(work, self._identity(list_digests(work.listing, work.shards)))
            if not reason:
                return resume(work)
            if not self.options.overwrite:
                raise OutputExistsError(
                    f"{self.out}: an interrupted run lies there, and {reason}: undo that to go on with it, or start "
                    "anew with --overwrite"
                )
        return begin(work, self._identity)

    # ---- the end

    def _refuse_nothing(self, work: RunContext, parts: list[ShardProgress]) -> None:
        """A wrong root, or a folder that is not there yet, must not become an empty dataset that looks finished."""
        if any(part.written.keys for part in parts) or not work.rejects.lines:
            return
        first = next(iter(work.rejects.lines.values()))
        work.staging.clear()
        work.staging.discard()
        raise SourceError(
            f"{self.source}: none of its {len(work.rejects.lines):,} images can be packed, so nothing was written; "
            f"the first: {first['path']}, at {first['stage']}: {first['reason']}"
        )

    def _publish(self, work: RunContext, parts: list[ShardProgress], report: Report) -> Report:
        staging, listing = work.staging, work.listing
        _count(report, listing, parts, work.rejects)
        report.check()
        names = self._published_names(listing, work.shards)
        if listing.classes is not None:
            write_durably(staging.path(_CLASSES), "".join(f"{name}\n" for name in listing.classes).encode())
        known = {part.shard.name + ".rec": part.written.digest.hexdigest() for part in parts}
        for name in names[:-1]:
            path = staging.path(name)
            report.files[name] = {"bytes": path.stat().st_size, "sha256": known.get(name) or hash_file(path)}
        report.seconds = time.monotonic() - self.clock
        report.images_per_second = (report.packed + report.rejected - report.resumed) / max(report.seconds, 1e-9)
        document = manifest(report, staging.identity() or {}, self.started)
        write_durably(staging.path(_MANIFEST), with_checksum(document))
        staging.publish(names, stale=_stale(_read_manifest(self.out)))
        return report

    def _plan(self, listing: Listing, shards: list[Shard]) -> Report:
        """What a run would do."""
        report = Report(str(self.out), listed=len(listing) + len(listing.unlistable), dry_run=True)
        for shard in shards:
            count = report.splits.setdefault(shard.split, SplitCount(labels={}))
            count.listed += len(shard.rows)
            count.shards.append(shard.name + ".rec")
        for name, count in report.splits.items():
            rows = (row for shard in shards if shard.split == name for row in shard.rows)
            count.labels = histogram(listing.labels[row][0] for row in rows)
        report.rejected = len(listing.unlistable)
        report.left_out = len(listing) - sum(count.listed for count in report.splits.values())
        report.classes = len(listing.classes) if listing.classes is not None else None
        report.skipped = dict(sorted(listing.skipped.items()))
        report.seconds = time.monotonic() - self.clock
        return report


def _count(report: Report, listing: Listing, parts: list[ShardProgress], rejects: RejectLog) -> None:
    """Fill in the account, from what the files hold and not from what was counted on the way."""
    labels: dict[str, list[float]] = {}
    for part in parts:
        count = report.splits.setdefault(part.shard.split, SplitCount())
        bad = rejects.lines
        split = part.shard.split
        packed = [
            listing.labels[row][0]
            for row in part.shard.rows
            if not bad or (split, listing.keys[row], listing.paths[row]) not in bad
        ]
        labels.setdefault(part.shard.split, []).extend(packed)
        count.listed += len(part.shard.rows)
        count.packed += len(part.written.keys)
        count.rejected += len(part.shard.rows) - len(packed)
        count.shards.append(part.shard.name + ".rec")
        for code, name in enumerate(BACKENDS):
            if number := part.written.backends.count(code):
                report.packed_by[name] = report.packed_by.get(name, 0) + number
    for name, count in report.splits.items():
        count.labels = histogram(labels[name])
    report.packed = sum(count.packed for count in report.splits.values())
    report.rejected = len(rejects.lines)
    report.left_out = len(listing) - sum(count.listed for count in report.splits.values())
    report.rejects = rejects.by_stage()
    report.classes = len(listing.classes) if listing.classes is not None else None
    report.skipped = dict(sorted(listing.skipped.items()))


def _refuse_inside(source: Path, out: Path) -> None:
    """OUT inside SOURCE would be taken for a class the next time."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: a file of that name is in the way of the output folder")
    inner, outer = Path(os.path.realpath(out)), Path(os.path.realpath(source))  # which take links to themselves, too
    if source.is_dir() and (inner == outer or outer in inner.parents):
        raise UsageError(f"{out}: the output lies inside the source {source}: choose a folder outside of it")


def _read_manifest(out: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((out / _MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "files" in found else None


def _stale(found: dict[str, Any] | None) -> list[str]:
    """The names that an earlier run published, as far as they are plain names, and what was written down of them."""
    names = (
        [_MANIFEST, "sagemaker.json", *found["files"]] if found is not None and isinstance(found["files"], dict) else []
    )
    return [name for name in names if Path(name).name == name]


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """As it looks after a trip through JSON."""
    return dict(json.loads(json.dumps(value)))
