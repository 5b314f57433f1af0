"""The program of a worker process: it receives lists of files and sends outcomes, over connections.

Each channel is a connection with a thread of its own, which reads a batch's files and then waits for a free worker.
With more channels than workers, files are read for one batch while another is decoded.

The first message on the first channel is a `WorkerSetup`, answered by the name of the workers' encoder or an exception.
Then each batch is a list of (key, path, size, place). Its answer is the outcomes without entry and data, an exception
or None (a `BackendError` if the device broke) and what is new in the workers' ``failures``; then comes the data of each
`Encoded`.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing import connection
from queue import SimpleQueue
from typing import Any, NamedTuple

from gpu_pack.errors import BackendError, SourceError
from gpu_pack.stores.object_requests import count_retries
from gpu_pack.stores.reading_worker import ReadingWorker
from gpu_pack.stores.store import REPEATED_REQUESTS, Store
from gpu_pack.types import Encoded, Entry, Image, Outcome, Rejected, Worker

#: What `multiprocessing.connection.Pipe` makes; Windows has another.
_CONNECTION = getattr(connection, "PipeConnection", connection.Connection)


class WorkerSetup(NamedTuple):
    """What a process gets, pickled: ``make`` makes its workers, which read from ``store``.

    It imports the module ``preload`` before the rest reaches it, since that may take seconds.
    """

    make: Callable[[], Sequence[Worker]]
    store: Store
    preload: str


class WorkerPool:
    """A `gpu_pack.types.Worker` for many threads: each batch goes to a worker that is free."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.name, self.batch_size = workers[0].name, workers[0].batch_size
        self._workers = workers
        self._free: SimpleQueue[Worker] = SimpleQueue()
        for worker in workers:
            self._free.put(worker)
        self._lock = threading.Lock()
        self._failures: Counter[str] = Counter()
        self._repeated = count_retries()

    def transform(self, images: Sequence[Image]) -> list[Outcome]:
        """See `Worker.transform`."""
        worker = self._free.get()
        try:
            return worker.transform(images)
        finally:
            if failures := getattr(worker, "failures", None):
                with self._lock:
                    self._failures.update(failures)
                failures.clear()
            self._free.put(worker)

    def take_failures(self) -> Counter[str]:
        """What the workers that have ``failures`` counted there since the last call, and `REPEATED_REQUESTS`."""
        with self._lock:
            taken, self._failures = self._failures, Counter()
            if repeated := count_retries() - self._repeated:
                taken[REPEATED_REQUESTS] = repeated
                self._repeated += repeated
        return taken

    def close(self) -> None:
        """See `Worker.close`."""
        for worker in self._workers:
            worker.close()


def main() -> None:
    """Serve the channels until one is closed, or the lifeline: the process then exits even if a worker hangs.

    Arguments of the command: the descriptors of the lifeline and the channels, separated by commas; ``preload``.
    """
    _silence_native_code()
    lifeline, *channels = (_CONNECTION(int(descriptor)) for descriptor in sys.argv[1].split(","))
    threading.Thread(target=_repeat, args=(lifeline.recv_bytes,), daemon=True).start()
    with contextlib.suppress(Exception):  # the setup will report it
        importlib.import_module(sys.argv[2])
    pool, store = _open(channels[0])
    steps = [partial(_answer, channel, pool, ReadingWorker(pool, store)) for channel in channels]
    for step in steps[1:]:
        threading.Thread(target=_repeat, args=(step,), daemon=True).start()
    _repeat(steps[0])


def _silence_native_code() -> None:
    """Discard what native codecs print, since reasons say it. Python's own errors still go to standard error."""
    with contextlib.suppress(OSError):  # there is none
        sys.stderr = open(os.dup(2), "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _repeat(step: Callable[[], object]) -> None:
    """Repeat until the other side closes the connection. Whatever ends this thread ends the process."""
    try:
        while True:
            step()
    except (EOFError, OSError):
        pass
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)  # without unloading libraries: some take long, or crash


def _open(channel: connection.Connection[Any, Any]) -> tuple[WorkerPool, Store]:
    try:
        setup: WorkerSetup = channel.recv()
        workers = setup.make()
        channel.send(getattr(workers[0], "encoder", None))
    except Exception as error:
        with contextlib.suppress(OSError):  # the other side is gone
            channel.send(_picklable(error))
        os._exit(1)
    return WorkerPool(workers), setup.store


def _answer(channel: connection.Connection[Any, Any], pool: WorkerPool, reader: ReadingWorker) -> None:
    entries = [Entry(key, (0.0,), *rest) for key, *rest in channel.recv()]  # the other side has the labels
    outcomes: list[Outcome] = []
    failed = None
    try:
        outcomes = reader.transform(entries)
    except Exception as error:
        failed = _picklable(error)
    facts = [one[1:] if isinstance(one, Rejected) else one[2:] for one in outcomes]
    channel.send((facts, failed, pool.take_failures()))
    for one in outcomes:
        if isinstance(one, Encoded):
            channel.send_bytes(one.data)


def _picklable(error: Exception) -> Exception:
    """The error without its class, which the other side may not be able to import."""
    kept = next((kind for kind in (BackendError, SourceError) if isinstance(error, kind)), None)
    return kept(str(error)) if kept else Exception(f"{type(error).__name__}: {error}")
