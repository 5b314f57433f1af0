"""Ways to make a CPU codec that misbehave, for processes with GPU workers. Picklable, with `functools.partial`."""

from __future__ import annotations

import os
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
            os.kill(os.getpid(), 11)
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


def exiting(spec: TransformSpec) -> Codec:
    sys.exit(3)


def failing(spec: TransformSpec) -> Codec:
    raise OSError("no driver")
