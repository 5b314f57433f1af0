"""`gpu-pack plan`, `pack` and `publish`: a run in three steps, for whoever spreads the middle one over machines."""

from __future__ import annotations

import inspect
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpu_pack import console
from gpu_pack.cli.app import JsonFlag, QuietFlag, app, say_notices
from gpu_pack.cli.create import create, outcome
from gpu_pack.cli.store_flags import AnonymousFlag, EndpointFlag, StagingFlag
from gpu_pack.formats import notices

if TYPE_CHECKING:
    from gpu_pack.output.destination import Destination
    from gpu_pack.pipeline.plan import Plan
    from gpu_pack.pipeline.results import PackResult

#: Flags of create that are about this run's machine and moment, not about its plan.
_NOT_OF_PLANS = ("merge", "dry_run", "engine", "address", "verbose")
OutArgument = Annotated[str, typer.Argument(help="The folder or address that was given to gpu-pack plan.")]


def _as_create(command: Callable[..., int]) -> Callable[..., int]:
    """With the arguments and flags of create in place of ``**flags``."""
    signature = inspect.signature(create, eval_str=True)
    own = [each for name, each in signature.parameters.items() if name not in _NOT_OF_PLANS]
    command.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in own}
    return command


@app.command()
@_as_create
def plan(**flags: Any) -> int:
    """List and divide images, and keep the plan in OUT, for gpu-pack pack and gpu-pack publish.

    The options are those of gpu-pack create; without --shards, files take some 256 MiB each.
    """
    from gpu_pack.pipeline.options import create_options
    from gpu_pack.pipeline.stored_plan import store_plan

    source, out, json_, quiet = (flags.pop(name) for name in ("source", "out", "json_", "quiet"))
    options = create_options(splits=flags.pop("split"), **flags)
    with console.logged_warnings(), console.progress(quiet) as on_progress:
        made = store_plan(source or (), out, options, on_progress)
    if json_:
        print(json.dumps(_described(made), indent=1))
    found = made.listing.notices
    say_notices(notices.select(found, "note"), notices.select(found, "warning"), quiet)
    if not json_ and not quiet:
        for split, count in Counter(shard.split for shard in made.shards).items():
            images = sum(len(shard.rows) for shard in made.shards if shard.split == split)
            first = next(number for number, shard in enumerate(made.shards) if shard.split == split)
            numbers = f"shards {first} to {first + count - 1}" if count > 1 else f"shard {first}"
            console.say(f"{split}: {images:,} images in {numbers}")
        console.say(
            f"next: gpu-pack pack {out} --shards 0-{len(made.shards) - 1}, in any parts; gpu-pack publish {out}"
        )
    return 0


@app.command()
def pack(
    out: OutArgument,
    *,
    shards: Annotated[
        str | None, typer.Option(help="Numbers, as in 3,7-9, or a share: 2/16 is the third sixteenth [all].")
    ] = None,
    gpus: Annotated[str | None, typer.Option(help="Which GPUs, as in 0,1 [all].")] = None,
    workers: Annotated[int | None, typer.Option(help="CPU workers [one a core].")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images that a worker takes at once [tuned].")] = None,
    endpoint_url: EndpointFlag = None,
    anonymous: AnonymousFlag = False,
    staging: StagingFlag = None,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Pack shards of the plan in OUT; those that are packed already stay.

    Any number of processes and machines may pack at the same time.
    """
    from gpu_pack.pipeline.options import create_options
    from gpu_pack.pipeline.pack_shards import pack_shards
    from gpu_pack.pipeline.plan_file import load_plan
    from gpu_pack.pipeline.shard_numbers import parse_shards

    stored = load_plan(_destination(out, endpoint_url, anonymous, staging))
    count = len(stored.head.shards)
    which = range(count) if shards is None else parse_shards(shards, count)
    if not which:
        console.say(f"shards {shards}: none of {count} falls to this share")
        return 0
    here, planned = create_options(gpus=gpus, workers=workers, batch_size=batch_size).device, stored.head.device
    device = replace(here, device=planned.device, encoder=planned.encoder)
    with console.logged_warnings(), console.progress(quiet) as on_progress:
        packed = pack_shards(replace(stored.part(which), device=device), on_progress=on_progress)
    if json_:
        print(json.dumps([shard.to_json() for shard in packed.shards], indent=1))
    elif not quiet:
        console.say(_packed(packed))
    return 0


@app.command()
def publish(
    out: OutArgument,
    *,
    endpoint_url: EndpointFlag = None,
    anonymous: AnonymousFlag = False,
    staging: StagingFlag = None,
    merge: Annotated[bool, typer.Option("--merge", help="Join the shards of each split into one file.")] = False,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Publish the plan in OUT, all of whose shards are packed."""
    from gpu_pack.pipeline.stored_plan import publish_stored

    with console.logged_warnings():
        report = publish_stored(_destination(out, endpoint_url, anonymous, staging), merge)
    outcome(report, json_, quiet)
    return 0


def _destination(out: str, endpoint_url: str | None, anonymous: bool, staging: Path | None) -> Destination:
    from gpu_pack.output.destination import find_destination
    from gpu_pack.pipeline.options import create_options

    options = create_options(endpoint_url=endpoint_url, anonymous=anonymous, staging=staging)
    return find_destination(out, options.store, options.staging)


def _described(made: Plan) -> dict[str, Any]:
    """The plan's shards, for programs."""
    shards = [
        {"number": number, "name": shard.name, "split": shard.split, "images": len(shard.rows)}
        for number, shard in enumerate(made.shards)
    ]
    return {"out": made.place, "listed": made.listing.listed, "shards": shards}


def _packed(packed: PackResult) -> str:
    records = sum(shard.records for shard in packed.shards)
    resumed = sum(shard.resumed for shard in packed.shards)
    rejected = sum(len(shard.rejects) for shard in packed.shards)
    before = f", {resumed:,} of them from before" if resumed else ""
    return (
        f"{console.count_of(len(packed.shards), 'shard')}: {records:,} packed{before}, {rejected:,} rejected; in "
        f"{packed.seconds:.1f} s on {packed.device} ({packed.reason})"
    )
