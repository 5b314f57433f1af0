"""`gpu-pack create`, readable as prose: list, divide, plan; pack the shards; publish; report."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpu_pack.backends import choose
from gpu_pack.errors import OutputError, UsageError
from gpu_pack.formats.notices import Notice, select
from gpu_pack.output.destination import Destination, find_destination
from gpu_pack.pipeline.create_policy import CreatePolicy
from gpu_pack.pipeline.depth import with_depth_bits
from gpu_pack.pipeline.duplicates import settle_duplicates
from gpu_pack.pipeline.faces import faces_shard
from gpu_pack.pipeline.options import CreateOptions
from gpu_pack.pipeline.pack_shards import refuse_warnings, strict_error
from gpu_pack.pipeline.plan import STAGING, Plan, gpu_options, lists_digest, versions
from gpu_pack.pipeline.report import Report, planned
from gpu_pack.pipeline.results import PackResult
from gpu_pack.pipeline.results import merge as merge_results
from gpu_pack.pipeline.run import publish_once, run
from gpu_pack.pipeline.space import images_in
from gpu_pack.sources.given import GivenImages
from gpu_pack.sources.list_source import list_source
from gpu_pack.sources.listing import Listing
from gpu_pack.sources.missing_classes import missing_classes
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.splits import UNDIVIDED, Division, Shard, divide
from gpu_pack.sources.spool import Spool
from gpu_pack.stores.address import is_address, parse_address
from gpu_pack.types import OnProgress

if TYPE_CHECKING:
    from gpu_pack.sources.duplicates import Rows

_SPOOL = ".gpu-pack-spool"


def create(
    sources: Sequence[str] | GivenImages, out: str | Path, options: CreateOptions, on_progress: OnProgress
) -> Report:
    """Pack sources into RecordIO files under ``out``, a folder or an address; the same call resumes an interrupted run.

    Raises:
        GpuPackError: see `gpu_pack.errors`; whatever was written stays, and can be resumed.
    """
    policy = CreatePolicy(options.overwrite, options.merge)
    with open_spool(out, options) as spool:
        made = plan(sources, out, options, spool, on_progress)
        if options.dry_run:
            return planned(made, policy.seconds)
        choice = choose(made.spec, made.device)
        return Report.from_json(run(made, policy, choice, on_progress))


def open_spool(out: str | Path, options: CreateOptions) -> Spool:
    """The spool of a run."""
    return Spool(None if options.dry_run else _destination(out, options).folder / _SPOOL)


def plan(
    sources: Sequence[str] | GivenImages,
    out: str | Path,
    options: CreateOptions,
    spool: Spool,
    on_progress: OnProgress | None = None,
    shard_bytes: int | None = None,
) -> Plan:
    """List and divide sources: everything that is known before the first image is packed.

    Args:
        sources: paths or addresses, none where every split has its own; or images that a caller in Python gave.
        out: the output folder, or its address.
        options: of the run.
        spool: for images that cannot be read where they lie; the plan's shards can be packed while it is open.
        on_progress: called while files are compared, with how many.
        shard_bytes: of a shard, about, where the options give no number of shards; None for one shard a split.

    Raises:
        GpuPackError: there is nothing that can be packed as asked.
    """
    destination = _destination(out, options)
    if options.target is not None and destination.store is not None:
        raise UsageError(f"{out}: InsightFace's set is written into a folder: name one, and copy it from there")
    source = _check_sources(sources, options.split_sources, destination)
    listing = list_source(sources, replace(options.source, store=options.store), spool, options.split_sources)
    if options.strict and listing.rejects:
        raise strict_error(listing.rejects[0])
    _note_records(listing, options)
    listing, firsts = settle_duplicates(source, listing, options, on_progress or (lambda _: None))
    if options.target is not None:
        division = replace(options.division, shuffle=False, stratify=False)
        shards: tuple[Shard, ...] = (faces_shard(source, listing),)
    else:
        division = _with_order(options.division, listing)
        most = None if shard_bytes is None else images_in(options.spec, listing.sizes, shard_bytes)
        shards = tuple(_divide(source, listing, division, firsts, most))
    if options.strict:
        refuse_warnings(select(listing.notices, "warning"))
    rows = (row for shard in shards for row in shard.rows)
    spec = with_depth_bits(options.spec, listing, rows, options.device.workers)
    identity = _identity(replace(options, spec=spec, division=division), listing, shards)
    return Plan(
        source,
        destination.folder,
        STAGING,
        listing,
        shards,
        spec,
        options.device,
        identity,
        options.strict,
        boxes=options.boxes,
        store=destination.store,
        target=options.target,
    )


def publish(plan: Plan, results: Iterable[PackResult], *, overwrite: bool = False, merge: bool = False) -> Report:
    """Publish the packed shards of a plan, wherever and in however many calls they were packed.

    Args:
        overwrite, merge: see `CreateOptions`.

    Raises:
        OutputError: shards are missing, or it cannot be written.
        OutputExistsError: there are other files of the same names.
    """
    policy = CreatePolicy(overwrite, merge)
    return Report.from_json(publish_once(plan, policy, lambda _: merge_results(plan, results)))


def _destination(out: str | Path, options: CreateOptions) -> Destination:
    return find_destination(str(out), options.store, options.staging)


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


def _divide(
    source: str, listing: Listing, division: Division, firsts: Rows | None, shard_images: int | None
) -> list[Shard]:
    """The shards; classes that splits lack are added to the listing's notices."""
    own, classes = listing.own_splits, listing.classes is not None
    if own is None:
        shards = divide(listing.labels, division, classes=classes, firsts=firsts, shard_images=shard_images)
        listing.notices += filter(None, [missing_classes(listing.labels, shards, classes)])
        return shards
    if division.splits:
        raise UsageError(
            f"splits (--split): {source} is divided already, into {', '.join(own.names)}: leave --split out, give one "
            "of them alone as the source, or take folders for classes with layout='classes' (--layout classes), and "
            "tables for undivided with split_column='none' (--split-column none)"
        )
    return divide(listing.labels, division, own, shard_images=shard_images)


def _identity(options: CreateOptions, listing: Listing, shards: Sequence[Shard]) -> dict[str, Any]:
    """What must be the same for a run to be resumed; it stands in the manifest too."""
    division = options.division
    return {
        "versions": versions(options.spec, options.device),
        "options": {
            **asdict(options.spec),
            "splits": _splits(listing, division),
            **{name: getattr(division, name) for name in ("seed", "shuffle", "stratify")},
            "shards": max(Counter(shard.split for shard in shards).values()),
            **_source_options(options.source),
            "device": options.device.device,
            "encoder": options.device.encoder,
            **gpu_options(options.spec, options.device),
            "boxes": options.boxes,
            "target": options.target,
            "duplicates": options.duplicates,
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


def _check_sources(sources: Sequence[str] | GivenImages, splits: Sequence[tuple[str, str]], out: Destination) -> str:
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
        _refuse_inside(source, out)
    return ", ".join(names)


def _refuse_inside(source: str, destination: Destination) -> None:
    """OUT inside SOURCE would be taken for a class the next time."""
    out, store = destination.folder, destination.store
    if store is None and out.exists() and not out.is_dir():
        raise OutputError(f"{out}: a file of that name is in the way of the output folder")
    if store is not None:
        inside = is_address(source) and parse_address(source).holds(store.folder)
    else:
        inner, outer = Path(os.path.realpath(out)), Path(os.path.realpath(source))  # links to themselves, too
        inside = not is_address(source) and Path(source).is_dir() and (inner == outer or outer in inner.parents)
    if inside:
        raise UsageError(f"{destination}: the output lies inside the source {source}: choose a folder outside of it")
