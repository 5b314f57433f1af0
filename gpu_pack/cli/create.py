"""The command that packs: its flags, and what they make of `CreateOptions`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gpu_pack.cli.flags import JsonFlag, QuietFlag
from gpu_pack.errors import UsageError
from gpu_pack.formats.native_stderr import captured

if TYPE_CHECKING:
    from gpu_pack.sources.splits import Division
    from gpu_pack.types import TransformSpec

#: zlib's level for --encoding png without --quality, from 0 to 9.
_PNG_LEVEL = 3
Device = Literal["auto", "gpu", "cpu", "hybrid"]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("create")(create)


def create(
    source: Annotated[Path, typer.Argument(help="A folder of class folders, a folder of images, or a .lst file.")],
    out: Annotated[Path, typer.Argument(help="The folder that receives the records; made if need be.")],
    root: Annotated[Path | None, typer.Option(help="Folder that a .lst file's paths start from [its own].")] = None,
    split: Annotated[list[str] | None, typer.Option(help="NAME=FRACTION, repeatable [train=1.0].")] = None,
    seed: Annotated[int, typer.Option(help="Of the shuffle.")] = 100,
    shuffle: Annotated[
        bool | None,
        typer.Option(
            "--shuffle/--no-shuffle",
            help="Mix the images of each split [shuffle; a .lst without --split keeps its order].",
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
        bool | None, typer.Option("--upscale/--no-upscale", help="Enlarge small images, or leave them [upscale].")
    ] = None,
    pass_through: Annotated[bool, typer.Option("--pass-through", help="Store the files as they are.")] = False,
    quality: Annotated[
        int | None, typer.Option(help="JPEG quality 1-100 [95], or PNG level 0-9 [3].", show_default=False)
    ] = None,
    encoding: Annotated[Literal["jpg", "png"] | None, typer.Option(help="What the records hold [jpg].")] = None,
    color: Annotated[
        Literal["rgb", "gray", "unchanged"] | None, typer.Option(help="Channels of the result [rgb].")
    ] = None,
    interp: Annotated[
        Literal["antialias", "linear"] | None,
        typer.Option(help="linear is im2rec's; antialias filters when it shrinks [antialias]."),
    ] = None,
    max_pixels: Annotated[
        int | None, typer.Option(help="Reject images that decode to more pixels.", show_default="178956970")
    ] = None,
    device: Annotated[Device, typer.Option(help="auto takes the GPU where one works.")] = "auto",
    gpus: Annotated[str | None, typer.Option(help="Which GPUs, as in 0,1 [all].")] = None,
    encoder: Annotated[
        Literal["auto", "nvjpeg", "cpu", "cuda"], typer.Option(help="The GPU path's JPEG encoder.")
    ] = "auto",
    workers: Annotated[int | None, typer.Option(help="CPU workers [one a core].")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images that a worker takes at once [tuned].")] = None,
    shards: Annotated[int, typer.Option(help="Files that each split is divided into.")] = 1,
    classes: Annotated[Path | None, typer.Option(help="An earlier run's classes.txt: its label numbers.")] = None,
    allow_outside: Annotated[
        bool, typer.Option("--allow-outside", help="Let a .lst file name files outside of its root.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="The first bad image fails the run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what lies in OUT.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List and divide only.")] = False,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Pack a folder of images, or those of a .lst file.

    OUT receives NAME.rec, NAME.idx and NAME.lst for each split, classes.txt, rejects.jsonl and manifest.json.
    """
    from gpu_pack import console
    from gpu_pack.backends import DeviceOptions
    from gpu_pack.pipeline import create

    pixels = {"size": size, "resize": resize, "quality": quality, "encoding": encoding, "color": color}
    options = create.CreateOptions(
        spec=_spec(pixels | {"interp": interp, "crop": crop, "upscale": upscale}, pass_through, max_pixels),
        division=_division(split, seed, shuffle, stratify, shards),
        device=DeviceOptions(device, _gpu_numbers(gpus), workers, batch_size, encoder),
        root=root,
        classes=classes,
        strict=strict,
        overwrite=overwrite,
        dry_run=dry_run,
        allow_outside=allow_outside,
    )
    with captured(), console.progress(quiet) as on_progress:
        report = create.create(source, out, options, on_progress)
    if json_:
        print(json.dumps(report.to_json(), indent=1))
    elif not quiet:
        console.print_report(report)
    return 0


def _spec(flags: dict[str, Any], pass_through: bool, max_pixels: int | None) -> TransformSpec:
    """What the flags make of a `TransformSpec`. What was not given is left to its own defaults, but a PNG's level."""
    from gpu_pack.types import MAX_EDGE, TransformSpec

    given = {name: value for name, value in flags.items() if value is not None}
    if pass_through and given:
        names = " and ".join(f"--no-{name}" if value is False else f"--{name}" for name, value in given.items())
        raise UsageError(f"--pass-through stores the files as they are, and {names} would change them")
    if "resize" in given:
        if "size" in given:
            raise UsageError("--size and --resize both set the shorter edge; --resize alone does not crop")
        if given.get("crop"):
            raise UsageError("--resize does not crop: --size N is the shorter edge to N and then the N x N centre")
        if not 1 <= given["resize"] <= MAX_EDGE:
            raise UsageError(f"--resize {given['resize']}: the edge lies between 1 and {MAX_EDGE} pixels")
        given |= {"size": given.pop("resize"), "crop": False}
    if given.get("encoding") == "png":
        given.setdefault("quality", _PNG_LEVEL)
    if max_pixels is not None:  # which --pass-through heeds too
        given["max_pixels"] = max_pixels
    return TransformSpec(pass_through=pass_through, **given)


def _division(split: list[str] | None, seed: int, shuffle: bool | None, stratify: bool, shards: int) -> Division:
    from gpu_pack.sources.splits import Division, parse_split

    splits = tuple(parse_split(text) for text in split) if split else Division().splits
    return Division(splits, seed, shuffle, stratify, shards)


def _gpu_numbers(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise UsageError(f"--gpus {text}: write GPU numbers with commas between, as in 0,1") from None
