"""`gpu-pack create`: its flags, and the last lines that it prints."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gpu_pack import console
from gpu_pack.cli.app import JsonFlag, QuietFlag, app, say_notices
from gpu_pack.cli.store_flags import AnonymousFlag, EndpointFlag, StagingFlag
from gpu_pack.sources.source_options import ClassOrder, Layout, ListFormat, SourceFormat
from gpu_pack.stores.address import is_address
from gpu_pack.types import Color, Damage, Depth, Device, Duplicates, EncoderName, Encoding, Engine, Formats, Interp

if TYPE_CHECKING:
    from gpu_pack.pipeline.report import Report


@app.command()
def create(
    *,
    source: Annotated[
        list[str] | None,
        typer.Argument(
            help="Folders, lists (.lst), tables, tars, zips, Parquet files, .rec files: paths, patterns or addresses."
        ),
    ] = None,
    out: Annotated[
        str, typer.Argument(help="The folder, or s3://, gs:// or az:// address, that receives the records.")
    ],
    source_format: Annotated[SourceFormat, typer.Option(help="What SOURCE is; auto looks.")] = "auto",
    root: Annotated[str | None, typer.Option(help="Folder of the paths in a list or table [its own].")] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FRACTION or NAME=SOURCE, repeatable [train=1.0, or the source's own]."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the shuffle.")] = 100,
    shuffle: Annotated[
        bool | None,
        typer.Option(
            "--shuffle/--no-shuffle",
            help="Shuffle the images of each split [shuffle; a .lst or .rec without --split keeps its order].",
        ),
    ] = None,
    stratify: Annotated[
        bool, typer.Option("--stratify/--no-stratify", help="Give each split its share of every label.")
    ] = True,
    size: Annotated[
        int | None, typer.Option(help="Shorter edge to N, then the N x N centre [224].", show_default=False)
    ] = None,
    resize: Annotated[int | None, typer.Option(help="Shorter edge to N, without a crop.", show_default=False)] = None,
    crop: Annotated[
        bool | None, typer.Option("--crop/--no-crop", help="Cut the centre square, or keep the aspect [crop].")
    ] = None,
    upscale: Annotated[
        bool | None, typer.Option("--upscale/--no-upscale", help="Enlarge small images, or keep their size [upscale].")
    ] = None,
    pass_through: Annotated[bool, typer.Option("--pass-through", help="Store the files as they are.")] = False,
    quality: Annotated[
        int | None, typer.Option(help="JPEG quality 1-100 [95], or PNG level 0-9 [3].", show_default=False)
    ] = None,
    encoding: Annotated[Encoding | None, typer.Option(help="What the records hold [jpg].")] = None,
    color: Annotated[Color | None, typer.Option(help="Channels of the result [rgb].")] = None,
    interp: Annotated[
        Interp | None,
        typer.Option(help="linear is im2rec's; antialias filters when it shrinks [antialias]."),
    ] = None,
    boxes: Annotated[
        Literal["move", "keep", "refuse"],
        typer.Option(help="Boxes of a detection list under a crop: move or keep them, or reject the picture."),
    ] = "move",
    target: Annotated[
        Literal["insightface"] | None,
        typer.Option("--for", help="insightface: train.rec and property as its loaders want them, 112 x 112."),
    ] = None,
    duplicates: Annotated[
        Duplicates,
        typer.Option(help="Files with the same bytes: keep them, drop all but the first, or group them in one split."),
    ] = "keep",
    max_pixels: Annotated[
        int | None, typer.Option(help="Reject images that decode to more pixels [178956970].", show_default=False)
    ] = None,
    background: Annotated[
        str | None, typer.Option(help="Lay transparent pictures on this colour: white, #rrggbb [alpha is dropped].")
    ] = None,
    depth: Annotated[
        Depth | None,
        typer.Option(help="scale stretches 16-bit pictures that use fewer bits [keep].", show_default=False),
    ] = None,
    damage: Annotated[
        Damage,
        typer.Option(help="keep packs JPEGs that only lack the end marker, or have 9 to 1,024 bytes before it."),
    ] = "reject",
    formats: Annotated[
        Formats,
        typer.Option(help="standard: JPEG, PNG, WebP, BMP, TIFF; any: whatever OpenCV reads."),
    ] = "standard",
    device: Annotated[Device, typer.Option(help="auto takes the GPU where one works.")] = "auto",
    gpus: Annotated[str | None, typer.Option(help="Which GPUs, as in 0,1 [all].")] = None,
    encoder: Annotated[EncoderName, typer.Option(help="The GPU path's JPEG encoder.")] = "auto",
    workers: Annotated[int | None, typer.Option(help="CPU workers [one a core].")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images that a worker takes at once [tuned].")] = None,
    shards: Annotated[
        int | None,
        typer.Option(
            help="Files that each split is divided into [1; with --engine ray, of 256 MiB].", show_default=False
        ),
    ] = None,
    classes: Annotated[Path | None, typer.Option(help="A classes.txt whose label numbers are used.")] = None,
    layout: Annotated[
        Layout,
        typer.Option(help="What SOURCE's folders are; auto knows train beside val, valid, validation or test."),
    ] = "auto",
    class_order: Annotated[
        ClassOrder, typer.Option(help="Labels by the classes' names; natural has 2 before 10.")
    ] = "name",
    list_format: Annotated[
        ListFormat,
        typer.Option(help="mxnet: key, labels, path; csv: with commas; aligned: InsightFace's aligned, path, label."),
    ] = "auto",
    allow_outside: Annotated[
        bool, typer.Option("--allow-outside", help="Let a list or table name files outside its root.")
    ] = False,
    labels: Annotated[
        list[str] | None,
        typer.Option(help="FILE, or SPLIT=FILE: a label a line for images in sorted order, or a table by file name."),
    ] = None,
    class_names: Annotated[
        Path | None,
        typer.Option(
            help="Names of numbers that are labels: lines of NUMBER NAME, or of names from 0; JSON; meta.mat."
        ),
    ] = None,
    image_key: Annotated[
        str | None, typer.Option(help="WebDataset: the image's suffix; Parquet: its column [guessed].")
    ] = None,
    label_key: Annotated[
        str | None, typer.Option(help="WebDataset: the label's suffix, or json.FIELD [cls, or json.label].")
    ] = None,
    path_column: Annotated[str | None, typer.Option(help="Of a table: the images' paths [guessed].")] = None,
    label_column: Annotated[
        list[str] | None, typer.Option(help="Of a table; several make a label vector [guessed].")
    ] = None,
    split_column: Annotated[
        str | None, typer.Option(help="Of a table; none: not divided by a column or by files' names [guessed].")
    ] = None,
    rekey: Annotated[bool, typer.Option("--rekey", help="Number the images of a .rec anew.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Fail at the first bad image, or at a warning.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run's files in OUT.")] = False,
    merge: Annotated[
        bool, typer.Option("--merge", help="Join the shards of each split into one file, once all are packed.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List and divide only; write nothing.")] = False,
    endpoint_url: EndpointFlag = None,
    anonymous: AnonymousFlag = False,
    staging: StagingFlag = None,
    engine: Annotated[Engine, typer.Option(help="Pack on this machine, or on a Ray cluster.")] = "local",
    address: Annotated[
        str | None, typer.Option(help="Of the Ray cluster, or auto [Ray's choice; it may start one here].")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show Ray's own log, too.")] = False,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Pack images, wherever they lie, into records.

    OUT receives NAME.rec, NAME.idx and NAME.lst for each split, classes.txt, rejects.jsonl and manifest.json.
    """
    from gpu_pack import api
    from gpu_pack.output.destination import find_destination
    from gpu_pack.pipeline.options import create_options

    options = create_options(
        size=size, resize=resize, crop=crop, upscale=upscale, pass_through=pass_through,
        quality=quality, encoding=encoding, color=color, interp=interp, max_pixels=max_pixels,
        background=background, depth=depth, damage=damage, formats=formats, boxes=boxes, target=target,
        duplicates=duplicates,
        splits=split, seed=seed, shuffle=shuffle, stratify=stratify, shards=shards,
        device=device, gpus=gpus, encoder=encoder, workers=workers, batch_size=batch_size,
        layout=layout, class_order=class_order, list_format=list_format,
        source_format=source_format, image_key=image_key, label_key=label_key, path_column=path_column,
        label_column=label_column, split_column=split_column, labels=labels, class_names=class_names, rekey=rekey,
        root=root, classes=classes, allow_outside=allow_outside, strict=strict, overwrite=overwrite, merge=merge,
        dry_run=dry_run, endpoint_url=endpoint_url, anonymous=anonymous, staging=staging,
        engine=engine, address=address, verbose=verbose,
    )  # fmt: skip

    if is_address(out) and engine == "local" and not (dry_run or quiet):
        folder = find_destination(out, options.store, options.staging).folder
        console.say(f"packing in {folder}, from where finished shards go to {out}")
    with console.logged_warnings(), console.progress(quiet) as on_progress, _off_output(engine, verbose):
        report = api.create(source or None, out, options=options, progress=on_progress)
    outcome(report, json_, quiet)
    return 0


@contextlib.contextmanager
def _off_output(engine: Engine, verbose: bool) -> Iterator[None]:
    """Ray prints what happens to nodes on standard output, where results belong: here on standard error, if asked."""
    with contextlib.ExitStack() as stack:
        if engine == "ray":
            there = sys.stderr if verbose else stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(there))
        yield


def outcome(report: Report, json_: bool, quiet: bool) -> None:
    """Print what a run did, or would do."""
    if json_:
        print(json.dumps(report.to_json(), indent=1))
    say_notices(report.notes, report.warnings, quiet)
    if not json_ and not quiet:
        for line in _planned(report) if report.dry_run else _done(report):
            console.say(line)


def _done(report: Report) -> Iterator[str]:
    for sentence in report.broken:
        yield f"worker given up: {sentence}"
    for failure, times in report.batch_failures.items():
        yield f"GPU failures: {times:,}, and no image was lost: {failure}"
    if report.repeated_requests:
        yield f"requests to object stores that were repeated: {report.repeated_requests:,}"
    if report.jpeg_engines:
        yield f"JPEG engines: {report.jpeg_engines}"
    if report.skipped:
        kinds = ", ".join(f"{count:,} {suffix}" for suffix, count in report.skipped.items())
        yield f"not listed: {kinds}"
    for name, count in report.splits.items():
        shards = f"{name}.rec" if len(count.shards) == 1 else f"{count.shards[0]} and {len(count.shards) - 1} more"
        yield f"{name}: {count.packed:,} images in {shards}"
    yield from _left_out(report)
    if len(report.packed_by) > 1:
        yield "packed by " + ", ".join(f"{name}: {count:,}" for name, count in report.packed_by.items())
    for machine, did in report.machines.items():
        shards = f"shard{'s' * (not did['shards'].isdigit())} {did['shards']}"
        yield (
            f"{machine} ({did['device']}): {did['images']:,} images in {did['seconds']:,.1f} s, "
            f"{did['images_per_second']:,.0f} images/s, {shards}"
        )
    resumed = f", {report.resumed:,} of them from before" if report.resumed else ""
    rejected = f"{report.rejected:,} rejected" + (f" (see {report.out}/rejects.jsonl)" if report.rejected else "")
    yield (
        f"{report.packed:,} packed{resumed}, {rejected}; {report.images_per_second:,.0f} images/s in "
        f"{report.seconds:.1f} s on {report.device} ({report.reason})"
    )


def _planned(report: Report) -> Iterator[str]:
    classes = f" in {report.classes:,} classes" if report.classes is not None else ""
    yield f"{report.listed:,} images{classes}"
    for name, count in report.splits.items():
        labels = f" of {len(count.labels):,} labels" if count.labels is not None else ""
        yield f"{name}: {count.listed:,} images{labels} in {len(count.shards)} file(s)"
    yield from _left_out(report)
    yield "dry run: nothing was written"


def _left_out(report: Report) -> Iterator[str]:
    if report.left_out:
        yield f"left out, since the fractions sum to less than 1: {report.left_out:,}"
