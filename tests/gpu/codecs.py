"""Ways to make a CPU codec that misbehave, for processes with GPU workers. Picklable, with `functools.partial`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from cpu_fallback.worker import make_codec
from gpu_pack.errors import BackendError
from gpu_pack.types import Codec, Image, Outcome, TransformSpec


def crashing(spec: TransformSpec) -> Codec:
    """Ends the process like native code that crashes, at a file that contains a word."""
    codec = make_codec(spec)

    def run(image: Image) -> Outcome:
        if b"crash" in image.data:
            signal.raise_signal(signal.SIGSEGV)  # to this thread: a signal to the process may arrive after the answer
        return codec(image)

    return run


def breaking(folder: Path, calls: int, spec: TransformSpec) -> Codec:
    """The device is gone after some calls in all processes together, and cannot be set up again."""
    done, gone = folder / "done", folder / "gone"
    if gone.exists():
        raise BackendError("the device is gone")
    codec = make_codec(spec)

    def run(image: Image) -> Outcome:
        with done.open("ab") as file:
            if file.tell() >= calls:
                gone.touch()
                raise BackendError("the device is gone")
            file.write(b".")
        return codec(image)

    return run


def hanging(folder: Path, spec: TransformSpec) -> Codec:
    """Made at once in the first process; the others leave a file ``hanging``, and ``finished`` after a minute."""
    try:
        (folder / "first").touch(exist_ok=False)
    except FileExistsError:
        (folder / "hanging").touch()
        time.sleep(60)
        (folder / "finished").touch()
    return make_codec(spec)


def failing_beside_hanging(folder: Path, spec: TransformSpec) -> Codec:
    """Made in the first process; the second hangs, with its process id in a file ``hanging``; then the third fails."""
    for turn in ("first", "hanging"):
        with contextlib.suppress(FileExistsError), (folder / turn).open("x") as file:
            file.write(str(os.getpid()))
            break
    else:
        while not (folder / "hanging").read_text():
            time.sleep(0.01)
        raise OSError("no driver")
    if turn == "hanging":
        time.sleep(60)
        (folder / "finished").touch()
    return make_codec(spec)


def filling(folder: Path, processes: int, spec: TransformSpec) -> Codec:
    """The device's memory holds that many processes."""
    mine = folder / f"process-{os.getpid()}"
    mine.touch()
    alive = [path for path in folder.glob("process-*") if Path("/proc", path.name.partition("-")[2]).exists()]
    if len(alive) > processes:
        return always_full(spec)
    return make_codec(spec)


def refusing_twice(folder: Path, spec: TransformSpec) -> Codec:
    """The device's memory is full for the first two processes."""
    mine = folder / f"process-{os.getpid()}"
    mine.touch()
    return always_full(spec) if len(list(folder.glob("process-*"))) <= 2 else make_codec(spec)


def always_full(spec: TransformSpec) -> Codec:
    raise RuntimeError("cudaErrorMemoryAllocation: out of memory")


def exiting(spec: TransformSpec) -> Codec:
    sys.exit(3)
