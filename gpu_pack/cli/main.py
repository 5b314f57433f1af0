"""The `gpu-pack` program around its commands: standard streams, signals, and errors into exit codes."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from gpu_pack.errors import GpuPackError, UsageError

#: Commands that go on where they were interrupted.
_RESUMABLE = ("create", "im2rec", "extract", "sagemaker")
_terminated = False


def main() -> NoReturn:
    """Carry out the command line that the process was started with."""
    try:
        _whole_streams()
        _stop_on_terminate()
        # We use none of it, and a thread for each core would spin for a while each time that NumPy is loaded.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        code = _run(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    except GpuPackError as error:
        _leave(error.exit_code, str(error))
    except BrokenPipeError:
        _leave(1, "")
    except OSError as error:
        _leave(1, f"{error.filename or 'input or output'}: {error.strerror or error}")
    except MemoryError:
        _leave(1, "out of memory: fewer --workers or a smaller --batch-size need less; the run can be gone on with")
    on = "; run the same command again to go on" if {*sys.argv[1:2]} & {*_RESUMABLE} else ""
    _leave(code, f"interrupted{on}" if code == 130 else "")


def _run(argv: Sequence[str]) -> int:
    if "" in argv:
        raise UsageError("an argument is empty: is a variable of the shell not set?")
    if argv[:1] == ["im2rec"]:  # its flags are argparse's: without Typer it starts in seven eighths of the time
        from gpu_pack import im2rec

        return im2rec.main(argv[1:])
    from gpu_pack.cli import app

    return app.run(argv)


def _stop_on_terminate() -> None:
    """`kill` stops a run as Ctrl-C does: the bar goes and the cursor comes back. `nohup` and the like stay obeyed."""
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: object) -> NoReturn:
    global _terminated
    _terminated = True
    raise KeyboardInterrupt


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
