"""Workers behind a process: what the engine asks, and what happens when the process ends."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence

from gpu_pack.errors import BackendError
from gpu_pack.processes.worker_main import WorkerPool, WorkerSetup
from gpu_pack.processes.worker_process import ProcessEndedError, WorkerProcess
from gpu_pack.stores.reading_worker import ReadingWorker
from gpu_pack.types import Entry, Outcome, Rejected

#: Exit codes of a process that was killed from outside, mostly by the system because memory is short.
_KILLED = {-getattr(signal, name) for name in ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)}
#: Files are read for one batch while another is transformed.
CHANNELS_PER_WORKER = 2


class ProcessWorker:
    """A `gpu_pack.types.EntryWorker`: one channel of a group, for one thread at a time."""

    def __init__(self, group: WorkerGroup, channel: int) -> None:
        self.name, self.batch_size = group.name, group.batch_size
        self._group, self._channel = group, channel

    def transform(self, entries: Sequence[Entry]) -> list[Outcome]:
        """See `WorkerGroup.transform`."""
        return self._group.transform(self._channel, entries)

    def close(self) -> None:
        """Close the whole group."""
        self._group.close()


class WorkerGroup:
    """Workers in one process, which is replaced when it ends.

    Each batch that the process had is then given to a process of its own. If that ends too, the CPU codec takes the
    batch's files one by one in a further process, so that a crash costs only the image that causes it.

    Args:
        setup: makes the workers, as many as ``workers`` says.
        fallback: makes the CPU worker that takes files one by one.
        max_losses: how many processes in a row may end without an answer. None: any number, and where no process can
            be started, the ``fallback`` worker runs in this one.

    Attributes:
        count: how many workers there are.
        encoder: the name of theirs, once they are open.
        failures: the device's errors, and how often each occurred, from the workers' ``failures``.
    """

    def __init__(
        self,
        name: str,
        setup: WorkerSetup,
        fallback: WorkerSetup,
        workers: int = 1,
        batch_size: int = 8,
        max_losses: int | None = None,
    ) -> None:
        self.name, self.count, self.batch_size, self.setup = name, workers, batch_size, setup
        self.encoder: str | None = None
        self.failures: Counter[str] = Counter()
        self._fallback, self._max_losses = fallback, max_losses
        self._repeating = threading.Lock()  # one lost batch at a time
        self._changing = threading.Lock()  # guards failures and everything below
        self._process: WorkerProcess | None = None
        self._losses = 0  # since the last answer
        self._local: ReadingWorker | None = None  # where no process can be started

    def channels(self) -> list[ProcessWorker]:
        """What the engine is given."""
        return [ProcessWorker(self, channel) for channel in range(CHANNELS_PER_WORKER * self.count)]

    def launch(self) -> None:
        """Start the process, to import its modules while others are opened; `open` reports if that fails."""
        with contextlib.suppress(OSError):
            self._process = self._process or self._start(self.setup, CHANNELS_PER_WORKER * self.count)

    def open(self) -> None:
        """Have the process make its workers; `BackendError` where it cannot, or cannot be started."""
        try:
            self._process = self._process or self._start(self.setup, CHANNELS_PER_WORKER * self.count)
            self.encoder = self._process.open(self.setup)
        except BaseException as error:
            self._process = None
            if isinstance(error, ProcessEndedError | OSError):
                raise BackendError(f"{self.name}: it cannot be set up: {error}") from error
            raise

    def transform(self, channel: int, entries: Sequence[Entry]) -> list[Outcome]:
        """The outcomes of one batch: same length, same order.

        Raises:
            BackendError: a programming error in the process, or processes that end whatever they are given.
        """
        worker = self._running()
        if isinstance(worker, ReadingWorker):
            return worker.transform(entries)
        try:
            outcomes = worker.ask(channel, entries)
        except ProcessEndedError as ended:  # perhaps because of one of the files
            self._lose(worker, ended)
            return self._repeat(entries)
        self._losses = 0
        return outcomes

    def close(self) -> None:
        """End the process. May be called again."""
        with self._changing:
            if self._process is not None:
                self._process.end()
            if self._local is not None:
                self._local.close()
            self._process = self._local = None

    def _start(self, setup: WorkerSetup, channels: int) -> WorkerProcess:
        return WorkerProcess(self.name, channels, setup.preload, self._add_failures)

    def _add_failures(self, failures: Counter[str]) -> None:
        with self._changing:
            self.failures.update(failures)

    def _running(self) -> WorkerProcess | ReadingWorker:
        """The process, replaced if it ended; where none can be started, a worker in this one."""
        with self._changing:
            if self._local is None and not (self._process and self._process.opened):
                try:
                    self.open()
                except BackendError:
                    if self._max_losses is not None:
                        raise
                    self._local = ReadingWorker(WorkerPool(self._fallback.make()), self._fallback.store)
            worker = self._local or self._process
            assert worker is not None
            return worker

    def _lose(self, process: WorkerProcess, ended: ProcessEndedError) -> None:
        """Count a process that ended, or whose device broke; `BackendError` if it is one too many."""
        process.end()
        with self._changing:
            if self._process is process:  # no other channel has counted it
                self._process = None
                self._losses += 1
            if self._max_losses is not None and self._losses > self._max_losses:
                raise BackendError(str(ended) if ended.status is None else f"{self.name}: {ended}") from ended

    def _repeat(self, entries: Sequence[Entry]) -> list[Outcome]:
        """The outcomes of a batch that the process had when it ended."""
        with self._repeating:
            with contextlib.suppress(ProcessEndedError), self._another(self.setup) as process:
                return process.ask(0, entries)
            return self._one_by_one(entries)

    def _one_by_one(self, entries: Sequence[Entry]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        while len(outcomes) < len(entries):
            try:
                with self._another(self._fallback) as process:
                    for entry in entries[len(outcomes) :]:
                        outcomes += process.ask(0, [entry])
            except ProcessEndedError as ended:
                reason = f"its decoder's process ended with {ended.how}: OpenCV crashed on it, or memory is short"
                outcomes.append(Rejected(entries[len(outcomes)], "decode", reason, "crashed"))
        return outcomes

    @contextlib.contextmanager
    def _another(self, setup: WorkerSetup) -> Iterator[WorkerProcess]:
        """A process with one channel; `BackendError` where none can be started, or it is killed from outside."""
        process = self._open_another(setup)
        try:
            yield process
        except ProcessEndedError as ended:
            if ended.status in _KILLED:
                raise BackendError(
                    f"worker {self.name}: its process was killed twice; memory may be short: run the same command "
                    "again with fewer --workers to resume"
                ) from ended
            raise
        finally:
            process.end()

    def _open_another(self, setup: WorkerSetup) -> WorkerProcess:
        for _ in range(2):  # what ended the group's process may have ended the first
            try:
                process = self._start(setup, 1)
                process.open(setup)
                return process
            except (ProcessEndedError, OSError) as error:
                failed = error
        again = "run the same command again to resume"
        raise BackendError(f"worker {self.name}: its process ended, and no other can be started: {failed}; {again}")
