"""The `gpu-pack` program around its commands: standard streams, signals, and errors into exit codes."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from gpu_pack.errors import GpuPackError, UsageError

#: Commands that resume where they were interrupted.
_RESUMABLE = ("create", "im2rec", "extract", "sagemaker", "plan", "pack", "publish")
#: Commands that decode images.
_DECODING = ("create", "im2rec", "verify", "inspect", "report", "pack")
#: The modules with commands; and of those that people wait for, the ones that they need: Typer takes 2 ms for each
#: command that it is to know.
_MODULES = ("apart", "create", "merge", "report", "tools")
_MODULES_OF = {"create": ("create",), "im2rec": ("tools",)}
_terminated = False


def run(argv: Sequence[str]) -> int:
    """Run one command line, without the program's name; returns the exit status.

    Raises:
        GpuPackError: see `gpu_pack.errors`; a `UsageError` also for what Typer's parser refuses.
    """
    if "" in argv:
        raise UsageError("an argument is empty: is a variable of the shell not set?")
    import typer

    for module in _MODULES_OF.get(argv[0], _MODULES) if argv else _MODULES:
        import_module(f"gpu_pack.cli.{module}")  # it adds its commands
    from gpu_pack.cli.app import app

    try:
        code = app(list(argv), prog_name="gpu-pack", standalone_mode=False)
    except typer.Abort:  # what older versions make of Ctrl-C; later ones return 130
        raise KeyboardInterrupt from None
    except Exception as error:
        # The parser's errors, by what they can do: Typer 0.20 takes them from Click, later versions from a copy of
        # Click that they carry, and neither exports a common base class.
        if not hasattr(error, "format_message"):
            raise
        path = getattr(getattr(error, "ctx", None), "command_path", "gpu-pack")
        raise UsageError(f"{error.format_message().rstrip('.')} ({path} --help tells more)") from None
    return code if isinstance(code, int) else 0


def main() -> NoReturn:
    """Run the command line that the process was started with, and exit."""
    try:
        _open_streams()
        if {*sys.argv[1:2]} & {*_DECODING}:
            _silence_native_code()
        _stop_on_terminate()
        # Unused, and a thread for each core would spin for a while each time that NumPy is loaded.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    except GpuPackError as error:
        _exit(error.exit_code, str(error))
    except BrokenPipeError:
        _exit(1, "")
    except OSError as error:
        _exit(1, f"{error.filename or 'input or output'}: {error.strerror or error}")
    except MemoryError:
        advice = "; with fewer workers or smaller batches, the same command resumes" if _resumable() else ""
        _exit(1, f"out of memory{advice}")
    hint = "; run the same command again to resume" if _resumable() else ""
    _exit(code, f"interrupted{hint}" if code == 130 else "")


def _resumable() -> bool:
    """Whether the command is one of those that resume."""
    return bool({*sys.argv[1:2]} & {*_RESUMABLE})


def _stop_on_terminate() -> None:
    """Make SIGTERM stop a run as Ctrl-C does, so that the bar goes and the cursor comes back; unless it is ignored."""
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: object) -> NoReturn:
    global _terminated
    _terminated = True
    raise KeyboardInterrupt


def _exit(code: int, message: str) -> NoReturn:
    """Print the message and exit without waiting for threads, which may hang in a device or a network file system."""
    from gpu_pack.console import clean

    if code == 130 and _terminated:
        code, message = 128 + signal.SIGTERM, message.replace("interrupted", "terminated")
    with contextlib.suppress(OSError):
        if message:
            print(f"gpu-pack: {clean(message)}", file=sys.stderr)
        sys.stderr.flush()
    try:
        sys.stdout.flush()
    except OSError as error:  # mostly a reader that went away, which needs no message
        if not code and not isinstance(error, BrokenPipeError):
            _exit(1, f"standard output: {error.strerror or error}")
        code = code or 1
    os._exit(code)


def _open_streams() -> None:
    """Replace standard streams that are closed, and let names pass that the terminal's encoding lacks."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # otherwise the next file that is opened would get its number
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _silence_native_code() -> None:
    """Keep what image libraries print off the terminal: warnings about odd files, without the files' names.

    They write to descriptor 2, which from here on leads nowhere; `sys.stderr` writes to a copy of it. A crash in native
    code, about which nothing else would be printed, shows where Python was.
    """
    sys.stderr.flush()
    sys.stderr = open(os.dup(2), "w", encoding=sys.stderr.encoding, errors="backslashreplace", buffering=1)  # noqa: SIM115
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    if os.name != "nt":  # Windows reports also what libraries handle themselves
        faulthandler.enable(sys.stderr)
