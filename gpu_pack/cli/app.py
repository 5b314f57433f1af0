"""The Typer program that the commands are added to, and the flags that several of them have."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

from gpu_pack import __version__
from gpu_pack.console import say
from gpu_pack.formats import notices

app = typer.Typer(
    name="gpu-pack",
    help="Turn images into MXNet RecordIO files, on the GPU where there is one.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing Rich would double the time that --help takes
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
QuietFlag = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress, notes or summary; warnings and errors only.")
]


def say_notices(notes: Iterable[Mapping[str, Any]], warnings: Iterable[Mapping[str, Any]], quiet: bool) -> None:
    """A line on standard error for each note, unless ``quiet``, and each warning."""
    for line in notices.lines(() if quiet else notes, warnings):
        say(line)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"gpu-pack {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _without_command(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if ctx.invoked_subcommand is None:
        print(ctx.get_help(), file=sys.stderr)
        raise typer.Exit(2)
