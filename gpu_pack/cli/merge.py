"""`gpu-pack merge` and `gpu-pack divide`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpu_pack import console
from gpu_pack.cli.app import JsonFlag, QuietFlag, app, say_notices
from gpu_pack.cli.store_flags import AnonymousFlag, EndpointFlag, StagingFlag
from gpu_pack.errors import UsageError

if TYPE_CHECKING:
    from gpu_pack.tools.copy_report import Copied

_MAX_LISTED = 8

RekeyFlag = Annotated[
    bool, typer.Option("--rekey", help="Number all records from 0 [keys stay where they are unique].")
]
OverwriteFlag = Annotated[bool, typer.Option("--overwrite", help="Replace what lies in OUT.")]


@app.command()
def merge(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT... OUT",
            help="Folders that create wrote, .rec files, quoted patterns, or their addresses; then the folder or "
            "address that receives the result.",
        ),
    ],
    split: Annotated[str | None, typer.Option(help="The split of all records [as in the inputs].")] = None,
    rekey: RekeyFlag = False,
    overwrite: OverwriteFlag = False,
    endpoint_url: EndpointFlag = None,
    anonymous: AnonymousFlag = False,
    staging: StagingFlag = None,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Join datasets and .rec files into one dataset.

    Pictures stay as they are. Splits of the same name become one. Classes are matched by name: the numbers of the first
    input stay.
    """
    from gpu_pack.tools.merge import MergeOptions
    from gpu_pack.tools.merge import merge as run

    *inputs, out = paths
    if not inputs:
        raise UsageError(f"{out}: name the inputs, then the output: gpu-pack merge A B OUT")
    options = MergeOptions(split, rekey, overwrite)
    store: dict[str, Any] = {"endpoint_url": endpoint_url, "anonymous": anonymous, "staging": staging}
    with console.progress(quiet) as on_progress:
        report = run(inputs, out, options=options, on_progress=on_progress, **store)
    return _finish(report, json_, quiet)


@app.command()
def divide(
    path: Annotated[str, typer.Argument(help="A folder that create wrote, a .rec file, or a quoted pattern.")],
    out: Annotated[str, typer.Argument(help="The folder or address that receives the result.")],
    by: Annotated[str, typer.Option(help="label, count=N, size=256MiB, or fraction=train=.9,val=.1.")],
    split: Annotated[str | None, typer.Option(help="Divide this split only, and leave out the others.")] = None,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="Mix the records first [they keep their order].")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the shuffle.")] = 100,
    stratify: Annotated[
        bool, typer.Option("--stratify/--no-stratify", help="Of fractions: give each split its share of every label.")
    ] = True,
    rekey: RekeyFlag = False,
    overwrite: OverwriteFlag = False,
    endpoint_url: EndpointFlag = None,
    anonymous: AnonymousFlag = False,
    staging: StagingFlag = None,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Divide a dataset into files or splits.

    Pictures stay as they are.
    """
    from gpu_pack.tools.divide import DivideOptions
    from gpu_pack.tools.divide import divide as run
    from gpu_pack.tools.division import parse_by

    options = DivideOptions(parse_by(by), split, shuffle, seed, stratify, rekey, overwrite)
    store: dict[str, Any] = {"endpoint_url": endpoint_url, "anonymous": anonymous, "staging": staging}
    with console.progress(quiet) as on_progress:
        report = run(path, out, options=options, on_progress=on_progress, **store)
    return _finish(report, json_, quiet)


def _finish(report: Copied, json_: bool, quiet: bool) -> int:
    say_notices(report.notes, report.warnings, quiet)
    if json_:
        print(json.dumps(report.to_json(), indent=1))
    elif not quiet:
        for line in _lines(report):
            console.say(line)
    return 0


def _lines(report: Copied) -> Iterator[str]:
    splits = list(report.splits.items())
    for name, count in splits[:_MAX_LISTED]:
        files = count.shards[0] if len(count.shards) == 1 else f"{count.shards[0]} and {len(count.shards) - 1:,} more"
        yield f"{name}: {count.packed:,} records in {files}"
    if len(splits) > _MAX_LISTED:
        yield f"... and {len(splits) - _MAX_LISTED:,} more splits"
    if report.left_out:
        yield f"left out, since the fractions sum to less than 1: {report.left_out:,}"
    size, rate = console.human_size(report.bytes), console.human_size(report.bytes / max(report.seconds, 1e-9))
    yield f"{report.records:,} records ({size}) in {report.out}; {rate}/s in {report.seconds:.1f} s"
