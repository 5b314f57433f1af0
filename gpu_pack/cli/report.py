"""`gpu-pack report`: its flags."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gpu_pack import console
from gpu_pack.cli.app import JsonFlag, QuietFlag, app, say_notices
from gpu_pack.cli.store_flags import AnonymousFlag, EndpointFlag
from gpu_pack.cli.tools import Source


@app.command()
def report(
    path: Source,
    output: Annotated[Path, typer.Option("--output", "-o", help="The page.")] = Path("report.html"),
    root: Annotated[Path | None, typer.Option(help="The folder of the rejected files, to show their pictures.")] = None,
    workers: Annotated[int | None, typer.Option(help="Threads [one a core].", min=1, max=1024)] = None,
    endpoint_url: EndpointFlag = None,
    anonymous: AnonymousFlag = False,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Draw a dataset as one HTML page.

    The page needs no network and no other file: counts, sizes, pictures of every class, rejects, and what may spoil
    training. The exit status is 1 if a record is damaged.
    """
    from gpu_pack.cli import render_findings
    from gpu_pack.tools.report.build import report as run

    with console.progress(quiet) as on_progress:
        result = run(
            path,
            output,
            root=root,
            workers=workers,
            endpoint_url=endpoint_url,
            anonymous=anonymous,
            on_progress=on_progress,
        )
    say_notices(result.inspection.notes, result.inspection.warnings, quiet)
    if json_:
        print(json.dumps(result.to_json(), indent=1))
    elif not quiet:
        render_findings.print_findings(result.inspection.findings)
        console.say(f"{result.page}: {console.human_size(result.page_bytes)}")
    return 0 if result.ok else 1
