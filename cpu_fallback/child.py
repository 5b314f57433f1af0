"""What runs in the process of a `cpu_fallback.process.ProcessWorker`: batches come in, outcomes go out."""

from __future__ import annotations

import contextlib
import os
import pickle
import threading
import time
from collections.abc import Sequence
from typing import IO

from cpu_fallback.wire import receive, send
from cpu_fallback.worker import CpuWorker
from gpu_pack.interface import Entry, Image, Outcome, Rejected
from gpu_pack.native_stderr import captured

#: Stands for every image's entry: the other side knows whose turn it is.
_NOBODY = Entry(0, (0.0,), "")


def main() -> None:
    """Serve standard input until it ends. The first message is a pickled `TransformSpec`, and answered with nothing."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    # What native code prints must not get among the messages.
    with open(0, "rb", closefd=False) as batches, os.fdopen(os.dup(1), "wb") as outcomes:
        os.dup2(2, 1)
        # The other side is gone, or sees that this one is.
        with captured(), contextlib.suppress(EOFError, OSError, MemoryError):
            (spec,) = receive(batches)
            worker = CpuWorker(pickle.loads(spec))
            send(outcomes, ())
            while True:
                _serve(worker, batches, outcomes)


def _end_with(parent: int) -> None:
    """Do not outlive the other side inside a call that hangs. (Windows does not tell; there a hung call stays.)"""
    while os.getppid() == parent:
        time.sleep(2)
    os._exit(1)


def _serve(worker: CpuWorker, batches: IO[bytes], outcomes: IO[bytes]) -> None:
    images = [Image(_NOBODY, data) for data in receive(batches)]
    try:
        made = worker.transform(images)
    except Exception as error:  # an error of ours: the other side tells it
        send(outcomes, (pickle.dumps(f"{type(error).__name__}: {error}"),))
    else:
        send(outcomes, (pickle.dumps([_without_data(one) for one in made]), *_data(made)))


def _without_data(outcome: Outcome) -> Outcome:
    return outcome if isinstance(outcome, Rejected) else outcome._replace(data=b"")


def _data(made: Sequence[Outcome]) -> list[bytes]:
    return [one.data for one in made if not isinstance(one, Rejected)]
