"""Typer: flags into options into one library call; the only place that turns errors into exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from typer.core import TyperCommand

from gpu_pack import __version__, cli_readers
from gpu_pack.errors import GpuPackError, UsageError
from gpu_pack.native_stderr import captured

if TYPE_CHECKING:
    from gpu_pack.packing import CreateOptions

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

#: zlib's level for --encoding png without --quality, from 0 to 9.
_PNG_LEVEL = 3
Device = Literal["auto", "gpu", "cpu", "hybrid"]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
QuietFlag = Annotated[bool, typer.Option("--quiet", "-q", help="No progress; errors only.")]


_terminated = False
#: Commands that go on where they were interrupted.
_RESUMABLE = ("create", "im2rec", "extract", "sagemaker")


def main() -> NoReturn:
    """The `gpu-pack` command."""
    try:
        _whole_streams()
        _stop_on_terminate()
        # We use none of it, and a thread for each core would spin for a while each time that NumPy is loaded.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        if "" in sys.argv[1:]:
            raise UsageError("an argument is empty: is a variable of the shell not set?")
        _keep_only(sys.argv[1:2])
        code = app(standalone_mode=False)
    except KeyboardInterrupt:
        code = 130
    except GpuPackError as error:
        _leave(error.exit_code, str(error))
    except BrokenPipeError:
        _leave(1, "")
    except OSError as error:
        _leave(1, f"{error.filename or 'input or output'}: {error.strerror or error}")
    except Exception as error:
        _leave_otherwise(error)
    # Typer itself makes 130 of a Ctrl-C that reaches it.
    on = "; run the same command again to go on" if {*sys.argv[1:2]} & {*_RESUMABLE} else ""
    _leave(code if isinstance(code, int) else 0, f"interrupted{on}" if code == 130 else "")


def _stop_on_terminate() -> None:
    """`kill` stops a run as Ctrl-C does: the bar goes and the cursor comes back. `nohup` and the like stay obeyed."""
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: object) -> NoReturn:
    global _terminated
    _terminated = True
    raise KeyboardInterrupt


def _keep_only(name: list[str]) -> None:
    """Drop the other commands where one is named: Typer builds each from its function, in a millisecond or two."""
    named = [command for command in app.registered_commands if [command.name] == name]
    app.registered_commands[:] = named or app.registered_commands


def _leave(code: int, message: str) -> NoReturn:
    """Say it and go, without waiting for threads that may hang in a device or a dead network file."""
    from gpu_pack.console import clean

    if code == 130 and _terminated:
        code, message = 128 + signal.SIGTERM, message.replace("interrupted", "terminated")
    with contextlib.suppress(OSError):
        if message:
            print(f"gpu-pack: {clean(message)}", file=sys.stderr)
        sys.stderr.flush()
    try:
        sys.stdout.flush()
    except OSError as error:  # of which a reader that went away is the usual kind, and needs no word
        if not code and not isinstance(error, BrokenPipeError):
            _leave(1, f"standard output: {error.strerror or error}")
        code = code or 1
    os._exit(code)


def _leave_otherwise(error: Exception) -> NoReturn:
    """Wrong usage, which Typer's own parser found, and what is left."""
    # Typer carries Click inside it since 0.2x and does not name Click's base classes; its own errors descend from them.
    usage_error = typer.BadParameter.__mro__[1]
    if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help
        print(error.format_message(), file=sys.stderr)  # type: ignore[attr-defined]
        _leave(2, "")
    if isinstance(error, usage_error):
        ctx = getattr(error, "ctx", None)
        hint = f" ({ctx.command_path} --help tells more)" if ctx is not None else ""
        _leave(2, error.format_message().rstrip(".") + hint)  # type: ignore[attr-defined]
    if isinstance(error, typer.Abort):
        _leave(130, "interrupted")
    if isinstance(error, MemoryError):
        _leave(1, "out of memory: fewer --workers or a smaller --batch-size need less; the run can be gone on with")
    raise error


def _whole_streams() -> None:
    """Standard streams that are there and take any text."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # closed by whoever started us: the next file that is opened would take its number
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names may hold what the terminal's encoding does not
            stream.reconfigure(errors="backslashreplace")


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


@app.command("create")
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
    from gpu_pack.backends import DeviceOptions
    from gpu_pack.interface import TransformSpec
    from gpu_pack.packing import CreateOptions
    from gpu_pack.splits import Division, parse_split

    pixels = {"size": size, "resize": resize, "quality": quality, "encoding": encoding, "color": color}
    changes = _changes(pixels | {"interp": interp, "crop": crop, "upscale": upscale}, pass_through)
    if max_pixels is not None:  # which --pass-through heeds too
        changes["max_pixels"] = max_pixels
    splits = tuple(parse_split(text) for text in split) if split else Division().splits
    options = CreateOptions(
        spec=TransformSpec(pass_through=pass_through, **changes),
        division=Division(splits, seed, shuffle, stratify, shards),
        device=DeviceOptions(device, _gpu_numbers(gpus), workers, batch_size, encoder),
        root=root,
        classes=classes,
        strict=strict,
        overwrite=overwrite,
        dry_run=dry_run,
        allow_outside=allow_outside,
    )
    _pack(source, out, options, json_, quiet)
    return 0


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
    from gpu_pack import im2rec

    with captured():
        return im2rec.main(ctx.args)


cli_readers.register(app)


def _changes(flags: dict[str, Any], pass_through: bool) -> dict[str, Any]:
    """What the flags change of a `TransformSpec`. What was not given is left to its own defaults, but a PNG's level."""
    from gpu_pack.interface import MAX_EDGE

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
    return given


def _pack(source: Path, out: Path, options: CreateOptions, as_json: bool, quiet: bool) -> None:
    """Run, and tell how it went."""
    from gpu_pack import console, packing

    with captured(), console.progress(quiet) as on_progress:
        report = packing.create(source, out, options, on_progress)
    if as_json:
        print(json.dumps(report.to_json(), indent=1))
    elif not quiet:
        console.print_report(report)


def _gpu_numbers(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise UsageError(f"--gpus {text}: write GPU numbers with commas between, as in 0,1") from None


if __name__ == "__main__":
    main()
