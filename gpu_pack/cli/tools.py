"""The other commands: each one makes options of its flags, calls one function, and prints the result."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from gpu_pack import console
from gpu_pack.cli.app import JsonFlag, QuietFlag, app, say_notices
from gpu_pack.cli.store_flags import AnonymousFlag, EndpointFlag
from gpu_pack.errors import UsageError

Source = Annotated[str, typer.Argument(help="A folder that create wrote, or a .rec file; or its address.")]


def _finish(result: Any, json_: bool, show: Callable[[], None]) -> int:
    """Print a result, as JSON or for people; returns the exit status."""
    if json_:
        print(json.dumps(result.to_json(), indent=1))
    else:
        show()
    return 0 if result.ok else 1


@app.command()
def doctor(
    places: Annotated[
        list[str] | None, typer.Argument(help="With --address: SOURCE, OUT or other places that all nodes need.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Of a Ray cluster, or auto: examine each of its nodes instead.")
    ] = None,
    endpoint_url: EndpointFlag = None,
    anonymous: AnonymousFlag = False,
    json_: JsonFlag = False,
) -> int:
    """Show which device would run and why, and what to install."""
    from gpu_pack.doctor import diagnose, render

    if address is not None:
        return _examine(address, places or (), json_, endpoint_url=endpoint_url, anonymous=anonymous)
    if places:
        raise UsageError(f"{places[0]}: places are looked for by the nodes of a cluster: add --address auto")
    diagnosis = diagnose()
    print(json.dumps(diagnosis.to_json(), indent=2) if json_ else render(diagnosis))
    return 0


def _examine(address: str, places: Sequence[str], json_: bool, **store: Any) -> int:
    from gpu_pack.distributed.doctor import examine
    from gpu_pack.doctor import diagnosis_json
    from gpu_pack.stores.address import StoreOptions

    nodes, faults = examine(address, places, StoreOptions(**store), diagnosis_json)
    if json_:
        print(json.dumps({"nodes": nodes, "faults": faults}, indent=2))
        return 1 if faults else 0
    for node in nodes:
        found = ", ".join(f"{name} {version}" for name, version in node["versions"].items() if version)
        print(f"{node['host']}: {node['device']}, {node['reason']}; {found}")
    for fault in faults:
        print(fault)
    return 1 if faults else 0


class _Forwarding(TyperCommand):
    """A command that gets its arguments unparsed, ``--help`` and ``--`` too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.args = list(args)
        return []


@app.command(cls=_Forwarding)
def im2rec(ctx: typer.Context) -> int:
    """MXNet's im2rec.py: its flags, its files, byte for byte."""
    from gpu_pack.im2rec import main

    return main(ctx.args)


@app.command()
def verify(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH", help="Folders that create wrote, or .rec files; or their addresses (s3://...)."),
    ],
    decode: Annotated[bool, typer.Option("--decode/--no-decode", help="Decode every image.")] = True,
    workers: Annotated[int | None, typer.Option(help="Threads [one a core].")] = None,
    endpoint_url: EndpointFlag = None,
    anonymous: AnonymousFlag = False,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Check records, images, lists and manifest against each other.

    The exit status is 1 if there is a fault.
    """
    from gpu_pack.cli import render
    from gpu_pack.tools.verify import verify as run

    with console.progress(quiet) as on_progress:
        result = run(
            paths,
            decode=decode,
            workers=workers,
            endpoint_url=endpoint_url,
            anonymous=anonymous,
            on_progress=on_progress,
        )
    say_notices(result.notes, result.warnings, quiet)
    return _finish(result, json_, lambda: render.print_verification(result, quiet))


@app.command()
def inspect(
    path: Source,
    first: Annotated[int, typer.Option("-n", help="Records to show one by one.")] = 5,
    findings: Annotated[
        bool | None,
        typer.Option(
            "--findings/--no-findings",
            help="Decode all pictures to find copies, leakage and blank ones [of up to 10,000 local records].",
        ),
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Only draw pictures of every class into this file, as in sheet.png.")
    ] = None,
    record: Annotated[int | None, typer.Option(help="Only show the record with this key.", min=0)] = None,
    endpoint_url: EndpointFlag = None,
    anonymous: AnonymousFlag = False,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Show how many records there are, of which labels and sizes.

    Findings are what may spoil training: copies, also across splits, pictures without contents, classes that are small
    or missing.
    """
    from gpu_pack.cli import looking, render, render_findings
    from gpu_pack.tools.inspect import inspect as run

    if sheet is not None and record is not None:
        raise UsageError("--sheet and --record each show something else: give one")
    store: dict[str, Any] = {"endpoint_url": endpoint_url, "anonymous": anonymous}
    if sheet is not None:
        return looking.draw(path, sheet, store, json_, quiet)
    if record is not None:
        return looking.show_record(path, record, store, json_)
    with console.progress(quiet) as on_progress:
        result = run(path, first=first, findings=findings, on_progress=on_progress, **store)
    say_notices(result.notes, result.warnings, quiet)

    def show() -> None:
        render.print_inspection(result)
        render_findings.print_findings(result.findings)

    return _finish(result, json_, show)


@app.command()
def extract(
    path: Source,
    dest: Annotated[Path, typer.Argument(help="The folder that receives the images; created if missing.")],
    split: Annotated[str | None, typer.Option(help="Of this split only.")] = None,
    keys: Annotated[str | None, typer.Option(help="These records only, as in 1,5,10-20.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most N records.")] = None,
    by_class: Annotated[
        bool, typer.Option("--by-class", help="Name files class/key.jpg [as the .lst names them].")
    ] = False,
    flat: Annotated[bool, typer.Option("--flat", help="Name files key.jpg.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files of the same names.")] = False,
    endpoint_url: EndpointFlag = None,
    anonymous: AnonymousFlag = False,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Write the records' images into files below DEST, byte for byte."""
    from gpu_pack.cli import render
    from gpu_pack.tools.extract import ExtractOptions, parse_keys
    from gpu_pack.tools.extract import extract as run

    if by_class and flat:
        raise UsageError("--by-class and --flat both say how to name the files: give one")
    wanted = parse_keys(keys) if keys is not None else None
    layout: Literal["class", "flat", "list"] = "class" if by_class else "flat" if flat else "list"
    options = ExtractOptions(split, wanted, limit, layout, overwrite)
    with console.progress(quiet) as on_progress:
        result = run(
            path, dest, options=options, endpoint_url=endpoint_url, anonymous=anonymous, on_progress=on_progress
        )
    say_notices(result.notes, result.warnings, quiet)
    return _finish(result, json_, lambda: render.print_extraction(result, quiet))


@app.command()
def index(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE.rec", help="Each gets its .idx beside it; paths or addresses.")
    ],
    rekey: Annotated[bool, typer.Option("--rekey", help="Number the records 0, 1, 2, ... as rec2idx does.")] = False,
    combined: Annotated[
        Path | None,
        typer.Option(help="Write one .idx of all files in their order instead, as DALI's readers.mxnet takes it."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an .idx that is there.")] = False,
    output: Annotated[str | None, typer.Option(help="The .idx, a path or an address [beside the .rec].")] = None,
    endpoint_url: EndpointFlag = None,
    anonymous: AnonymousFlag = False,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Rebuild the .idx of .rec files.

    Keys are the records' ids; those of an .idx that another program wrote stay.

    The exit status is 1 if a file is damaged, or if no .idx can be written that leads to all of its records.
    """
    from gpu_pack.cli import render
    from gpu_pack.tools.index import index as run

    results = run(
        files, rekey=rekey, combined=combined, overwrite=overwrite, output=output,
        endpoint_url=endpoint_url, anonymous=anonymous,
    )  # fmt: skip
    for result in results:
        say_notices(result.notes, result.warnings, quiet)
    if json_:
        print(json.dumps([result.to_json() for result in results], indent=1))
    elif combined is None:
        render.print_indexed(results, quiet)
    elif not quiet:
        render.print_combined(results)
    return 0 if all(result.ok for result in results) else 1


@app.command()
def sagemaker(
    places: Annotated[
        list[str],
        typer.Argument(
            metavar="[OUT] s3://BUCKET/PREFIX",
            help="A folder that create wrote, or its address, unless --train-from is given; and the prefix that "
            "receives the channels.",
        ),
    ],
    train: Annotated[str, typer.Option(help="The split for the train channel.")] = "train",
    validation: Annotated[
        str | None,
        typer.Option(help="The split for the validation channel [validation, val, valid, or the only other one]."),
    ] = None,
    train_from: Annotated[
        str | None, typer.Option(help="The train channel's own source: a folder that create wrote, or a .rec file.")
    ] = None,
    validation_from: Annotated[str | None, typer.Option(help="The same for the validation channel.")] = None,
    output: Annotated[
        str | None, typer.Option(help="The file for the request's part [sagemaker.json beside the training source].")
    ] = None,
    hyperparameter: Annotated[
        list[str] | None, typer.Option("--hyperparameter", "-p", help="NAME=VALUE of the algorithm's, repeatable.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace other objects of the same names.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check only: nothing is uploaded or written.")] = False,
    endpoint_url: EndpointFlag = None,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Check a dataset against SageMaker's rules, and upload it.

    A dataset in S3 (s3://...) is copied by S3 itself.

    The rules are those of its Image Classification jobs. sagemaker.json receives what the request for such a job
    must say of the data: the hyperparameters that are counted, and both channels.
    """
    from gpu_pack.cli import render_sagemaker
    from gpu_pack.sagemaker.options import JobOptions, parse_hyperparameter
    from gpu_pack.sagemaker.upload import upload

    pairs = tuple(map(parse_hyperparameter, hyperparameter or ()))
    options = JobOptions(train, validation, pairs, train_from, validation_from, output, overwrite, dry_run)
    *folders, url = places
    if len(folders) > 1:
        raise UsageError(f"{folders[1]}: the arguments are a folder and an S3 address, as in out s3://BUCKET/PREFIX")
    with console.progress(quiet) as on_progress:
        report = upload(folders[0] if folders else None, url, options, on_progress, endpoint_url=endpoint_url)
    say_notices((), report.warnings, quiet)
    return _finish(report, json_, lambda: render_sagemaker.print_upload(report, quiet))
