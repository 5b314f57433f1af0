"""What runs in a process that `gpu_pack.processes.worker_process` starts: lists of files come in, outcomes go out.

They come over channels, each a pair of pipes with a thread of its own here. It reads its files and then waits for one of
the workers to be free. With more channels than workers, files are read for one batch while another is being decoded.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import IO, Any, NamedTuple

from gpu_pack.errors import BackendError
from gpu_pack.formats.native_stderr import captured
from gpu_pack.processes.messages import receive, send
from gpu_pack.stores.local import read_files
from gpu_pack.types import Encoded, Entry, Image, Outcome, Rejected, Worker

Channel = tuple[IO[bytes], IO[bytes]]
#: Files that a channel has read and not yet transformed, in bytes: a list need not say how large its files are.
_PART_BYTES = 64 << 20


class WorkerSetup(NamedTuple):
    """What a process is told first.

    Attributes:
        make: makes its workers; pickled, so a function of a module, or a partial one.
        root: what the entries' paths are relative to, unless they are absolute.
        preload: a module that takes its time to import, and will be needed.
    """

    make: Callable[[], Sequence[Worker]]
    root: str
    preload: str


class Failure(NamedTuple):
    """An answer that holds no outcomes.

    Attributes:
        device: whether a worker's device broke (`BackendError`); otherwise it is an error of ours.
    """

    device: bool
    text: str


def main() -> None:
    """Serve the channels until the first of them ends.

    Standard input and output are the first channel; descriptors of more, in and out in turn, are the first argument of the
    command, separated by commas. The second one is a module to import meanwhile, since that may take seconds. The first
    message is a pickled `WorkerSetup`, and answered with the name of the workers' encoder, or a `Failure`.
    """
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    # Without standard error, a channel would get its number, and what leads there would end in that channel.
    if (descriptor := os.open(os.devnull, os.O_WRONLY)) != 2:
        os.close(descriptor)
    channels = list(_channels([int(number) for number in sys.argv[1].split(",") if number]))
    # What native code prints must not get among the messages.
    os.dup2(2, 1)
    # The other side is gone, or sees that this one is.
    with captured(), contextlib.suppress(EOFError, OSError, MemoryError):
        with contextlib.suppress(Exception):  # then setup tells: a library may miss others in any way
            importlib.import_module(sys.argv[2])
        batches, outcomes = channels[0]
        setup, workers = _open(batches, outcomes)
        for channel in channels[1:]:
            threading.Thread(target=_serve, args=(channel, workers, setup.root), daemon=True).start()
        _serve(channels[0], workers, setup.root)
    os._exit(0)  # some libraries take their time to unload, or crash


def outcomes_of(entries: Sequence[Entry], root: str, workers: SimpleQueue[Worker]) -> list[Outcome]:
    """Read some files and have whichever worker is free transform them; they are taken in turn, and put back."""
    made: list[Outcome] = []
    part: list[Image | Rejected] = []
    size = 0
    for image in read_files(entries, root):
        part.append(image)
        size += len(image.data) if isinstance(image, Image) else 0
        if size >= _PART_BYTES:
            made += _transform(part, workers)
            part, size = [], 0
    return [*made, *_transform(part, workers)]


def _transform(part: list[Image | Rejected], workers: SimpleQueue[Worker]) -> Iterator[Outcome]:
    images = [image for image in part if isinstance(image, Image)]
    answers: list[Outcome] = []
    if images:
        worker = workers.get()
        try:
            answers = worker.transform(images)
        finally:
            workers.put(worker)
    given = iter(answers)
    return (next(given) if isinstance(image, Image) else image for image in part)


def _end_with(parent: int) -> None:
    """Do not outlive the other side inside a call that hangs. (Windows does not tell; there a hung call stays.)"""
    while os.getppid() == parent:
        time.sleep(2)
    os._exit(1)


def _channels(descriptors: Sequence[int]) -> Iterator[Channel]:
    yield open(0, "rb", closefd=False), os.fdopen(os.dup(1), "wb")  # noqa: SIM115
    for incoming, outgoing in zip(descriptors[::2], descriptors[1::2], strict=True):
        yield os.fdopen(incoming, "rb"), os.fdopen(outgoing, "wb")


def _open(batches: IO[bytes], outcomes: IO[bytes]) -> tuple[WorkerSetup, SimpleQueue[Worker]]:
    """The first message and what it makes.

    Raises:
        EOFError: that failed, which the other side has been told.
    """
    workers: SimpleQueue[Worker] = SimpleQueue()
    answer: Any
    try:
        setup: WorkerSetup = pickle.loads(receive(batches)[0])
        made = setup.make()
        for worker in made:
            workers.put(worker)
        answer = getattr(made[0], "encoder", None)
    except EOFError:
        raise
    except Exception as error:
        send(outcomes, (pickle.dumps(_failure(error)),))
        raise EOFError from error
    send(outcomes, (pickle.dumps(answer),))
    return setup, workers


def _serve(channel: Channel, workers: SimpleQueue[Worker], root: str) -> None:
    """Answer until the other side is gone. A thread that ended otherwise would leave it waiting."""
    try:
        with contextlib.suppress(EOFError, OSError):
            while True:
                _answer(*channel, workers, root)
    except BaseException:
        os._exit(1)


def _answer(batches: IO[bytes], outcomes: IO[bytes], workers: SimpleQueue[Worker], root: str) -> None:
    (listed,) = receive(batches)
    # Key and labels are known on the other side.
    entries = [Entry(0, (0.0,), path, size) for path, size in pickle.loads(listed)]
    try:
        made = outcomes_of(entries, root, workers)
    except Exception as error:
        send(outcomes, (pickle.dumps(_failure(error)),))
    else:
        facts = [one[1:] if isinstance(one, Rejected) else one[2:] for one in made]
        send(outcomes, (pickle.dumps(facts), *(one.data for one in made if isinstance(one, Encoded))))


def _failure(error: Exception) -> Failure:
    device = isinstance(error, BackendError)
    return Failure(device, str(error) if device else f"{type(error).__name__}: {error}")
