"""Workers behind processes: what the engine asks, and what happens when a process ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from queue import SimpleQueue

from gpu_pack.errors import BackendError
from gpu_pack.processes.worker_main import WorkerSetup, outcomes_of
from gpu_pack.processes.worker_process import ProcessEndedError, WorkerProcess
from gpu_pack.types import Entry, Outcome, Rejected, Worker

#: How a process ends that somebody ended, and no picture: the system, mostly, or a guard of memory that asks first.
_KILLED = {-getattr(signal, name) for name in ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)}
#: Lanes for each worker: one's files are read while the other's are being transformed.
CHANNELS_PER_WORKER = 2


class ProcessWorker:
    """A `gpu_pack.types.EntryWorker`: one channel of a group, for one thread at a time."""

    def __init__(self, group: WorkerGroup, channel: int) -> None:
        self.name, self.batch_size = group.name, group.batch_size
        self._group, self._channel = group, channel

    def transform(self, entries: Sequence[Entry]) -> list[Outcome]:
        """The outcomes of the entries' files: same length, same order.

        Raises:
            BackendError: an error of ours over there, or processes that end whatever they are given.
        """
        try:
            return self._group.ask(self._channel, entries)
        except ProcessEndedError:  # because of one of them, perhaps
            return self._group.ask_alone(entries)

    def close(self) -> None:
        """End the group's process, and the other channels with it."""
        self._group.close()


class WorkerGroup:
    """Some workers in one process, which is replaced when it ends.

    Each batch that it had in hand then gets a process to itself. Whoever ends that one too is among its files: they go
    to the CPU codec, one by one, in a process that may end as well. So a crash costs the picture that causes it.

    Args:
        name: of each of them, e.g. ``gpu:0``.
        setup: what the process is told first.
        fallback: the same for the process in which images are alone.
        workers: how many the process will have.
        batch_size: files in a batch.
        losses: so many processes in a row may end without an answer; None for any number, and for doing the work here
            where none can be started.

    Attributes:
        name, setup, batch_size: as above.
        count: how many workers there are.
        encoder: of theirs, once they were opened.
    """

    def __init__(
        self,
        name: str,
        setup: WorkerSetup,
        fallback: WorkerSetup,
        workers: int = 1,
        batch_size: int = 8,
        losses: int | None = None,
    ) -> None:
        self.name, self.count, self.batch_size, self.setup = name, workers, batch_size, setup
        self.encoder: str | None = None
        self._fallback, self._losses = fallback, losses
        self._changing = threading.Lock()  # guards everything below
        self._process: WorkerProcess | None = None
        self._opened = False
        self._lost = 0  # processes that ended since the last answer
        self._here: SimpleQueue[Worker] | None = None  # where there is no process to be had
        self._one_by_one = threading.Lock()

    def channels(self) -> list[ProcessWorker]:
        """What the engine gets: several for each worker over there."""
        return [ProcessWorker(self, channel) for channel in range(CHANNELS_PER_WORKER * self.count)]

    def launch(self) -> None:
        """Begin the process, which imports what it will need while others are being opened.

        Raises:
            OSError: it cannot be started.
        """
        if self._process is None:
            self._process, self._opened = (
                WorkerProcess(self.name, CHANNELS_PER_WORKER * self.count, self.setup.preload),
                False,
            )

    def open(self) -> None:
        """Have the process make its workers.

        Raises:
            BackendError: it cannot.
            ProcessEndedError, OSError: there is no process.
        """
        self.launch()
        process = self._process
        assert process is not None
        try:
            self.encoder, self._opened = process.open(self.setup), True
        except BaseException:
            process.end()
            self._process = None
            raise

    def ask(self, channel: int, entries: Sequence[Entry]) -> list[Outcome]:
        """The outcomes of one batch.

        Raises:
            BackendError: see `ProcessWorker.transform`.
            ProcessEndedError: the process ended meanwhile.
        """
        process = self._running()
        if process is None:
            assert self._here is not None
            return outcomes_of(entries, self.setup.root, self._here)
        try:
            outcomes = process.ask(channel, entries)
        except ProcessEndedError as ended:
            self._lose(process, ended)
            raise
        self._lost = 0
        return outcomes

    def ask_alone(self, entries: Sequence[Entry]) -> list[Outcome]:
        """The outcomes of a batch that was in hand when the process ended; of one at a time.

        Raises:
            BackendError: none of the files is to blame.
        """
        with self._one_by_one:
            process = self._another(self.setup)
            try:
                return process.ask(0, entries)
            except ProcessEndedError as ended:
                self._refuse_killed(ended)
            finally:
                process.end()
            return self._one_after_the_other(entries)

    def close(self) -> None:
        """End the process. May be called again."""
        with self._changing:
            if self._process is not None:
                self._process.end()
                self._process = None

    def _running(self) -> WorkerProcess | None:
        """The process, begun anew if need be; None where that cannot be done and need not."""
        with self._changing:
            if self._here is None and not (self._process is not None and self._opened):
                try:
                    self.open()
                except (ProcessEndedError, OSError) as error:
                    if self._losses is not None:
                        raise BackendError(f"{self.name}: its process cannot be started: {error}") from error
                    self._here = SimpleQueue()
                    for worker in self._fallback.make():
                        self._here.put(worker)
            return self._process

    def _lose(self, process: WorkerProcess, ended: ProcessEndedError) -> None:
        """Take note of a process that ended, or is of no use any more.

        Raises:
            BackendError: it is one too many.
        """
        process.end()
        with self._changing:
            if self._process is process:  # another channel may have been here before
                self._process = None
                self._lost += 1
            if self._losses is not None and self._lost > self._losses:
                raise BackendError(str(ended) if ended.status is None else f"{self.name}: {ended}") from ended

    def _one_after_the_other(self, entries: Sequence[Entry]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        process: WorkerProcess | None = None
        try:
            for entry in entries:
                process = process or self._another(self._fallback)
                try:
                    outcomes += process.ask(0, [entry])
                except ProcessEndedError as ended:
                    process.end()
                    process = None
                    self._refuse_killed(ended)
                    reason = f"its decoder's process ended with {ended.how}: OpenCV crashed on it, or memory is short"
                    outcomes.append(Rejected(entry, "decode", reason))
        finally:
            if process is not None:
                process.end()
        return outcomes

    def _another(self, setup: WorkerSetup) -> WorkerProcess:
        try:
            try:
                return _opened(self.name, setup)
            except ProcessEndedError:  # whatever ends the others may have ended this one
                return _opened(self.name, setup)
        except (ProcessEndedError, OSError) as error:
            raise BackendError(
                f"worker {self.name}: its process ended, and no other can be started: {error}; run the same command "
                "again to go on"
            ) from error

    def _refuse_killed(self, ended: ProcessEndedError) -> None:
        if ended.status in _KILLED:
            raise BackendError(
                f"worker {self.name}: its process was killed, and again; memory may be short: run the same command "
                "again to go on, with fewer --workers"
            ) from ended


def _opened(name: str, setup: WorkerSetup) -> WorkerProcess:
    process = WorkerProcess(name, 1, setup.preload)
    try:
        process.open(setup)
    except BaseException:
        process.end()
        raise
    return process
