"""The commands as one Typer program, and what its parser refuses as an error of ours."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from gpu_pack import __version__
from gpu_pack.cli import create, tools
from gpu_pack.cli.flags import JsonFlag
from gpu_pack.errors import UsageError

app = typer.Typer(
    name="gpu-pack",
    help="Turn folders of images into MXNet RecordIO files, on the GPU where there is one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain help: Rich would double the time that --help takes.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

create.register(app)


def run(argv: Sequence[str]) -> int:
    """Carry out a command line, without the program's name; gives the exit status.

    Raises:
        GpuPackError: see `gpu_pack.errors`.
        UsageError: what Typer's own parser refuses, too.
    """
    _keep_only(argv[:1])
    try:
        code = app(list(argv), standalone_mode=False)
    except typer.Abort:
        return 130
    except Exception as error:
        # Typer carries Click inside it since 0.2x and names no base class of its errors, from which its own descend.
        if not isinstance(error, typer.BadParameter.__mro__[1]):
            raise
        return _refuse(error)
    # Typer itself makes 130 of a Ctrl-C that reaches it.
    return code if isinstance(code, int) else 0


def _keep_only(name: Sequence[str]) -> None:
    """Drop the other commands where one is named: Typer builds each from its function, in a millisecond or two."""
    named = [command for command in app.registered_commands if [command.name] == list(name)]
    app.registered_commands[:] = named or app.registered_commands


def _refuse(error: Any) -> int:
    message = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help
        print(message, file=sys.stderr)
        return 2
    ctx = getattr(error, "ctx", None)
    hint = f" ({ctx.command_path} --help tells more)" if ctx is not None else ""
    raise UsageError(message.rstrip(".") + hint) from None


def _version(wanted: bool) -> None:
    if wanted:
        print(f"gpu-pack {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


@app.command("doctor")
def doctor(json_: JsonFlag = False) -> int:
    """Tell which device would run and why, and what to install."""
    from gpu_pack.doctor import diagnose, render

    diagnosis = diagnose()
    print(diagnosis.to_json() if json_ else render(diagnosis))
    return 0


class _AsTheyAre(TyperCommand):
    """A command that takes its arguments as they are, ``--help`` and ``--`` too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.args = list(args)
        return []


@app.command("im2rec", cls=_AsTheyAre)
def im2rec_(ctx: typer.Context) -> int:
    """MXNet's im2rec.py: its flags, its files, byte for byte."""
    # Here for --help, which lists the commands: `gpu_pack.cli.main` takes the shorter way.
    from gpu_pack import im2rec

    return im2rec.main(ctx.args)


tools.register(app)
