"""One worker process and its channels, seen from the run's process."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, Pipe
from typing import Any

from gpu_pack.errors import BackendError, SourceError
from gpu_pack.processes.worker_main import WorkerSetup
from gpu_pack.types import Encoded, Entry, Outcome, Rejected

#: With this process's ``sys.path``; neither the user's script nor a module of the working folder is imported.
_COMMAND = "import sys; sys.path[:] = sys.argv[3:]; from gpu_pack.processes.worker_main import main; main()"


class ProcessEndedError(Exception):
    """A process ended with an exit ``status``, or its device broke (None). Internal: `WorkerGroup` handles it."""

    def __init__(self, status: int | None, device: str = "") -> None:
        self.status = status
        self.how = f"exit status {status}"
        if status is not None and status < 0:
            self.how = f"signal {-status} ({signal.strsignal(-status)})"
        super().__init__(device or f"its process ended with {self.how}")


class WorkerProcess:
    """A process that runs `gpu_pack.processes.worker_main`; `OSError` where it cannot be started.

    Args:
        channels: how many batches it can have at once.
        on_failures: called with what is new in the workers' ``failures``, from the thread that asks.
    """

    def __init__(self, name: str, channels: int, preload: str, on_failures: Callable[[Counter[str]], None]) -> None:
        self.opened = False
        self._name, self._on_failures = name, on_failures
        self._locks = [threading.Lock() for _ in range(channels + 1)]
        self._connections: list[Connection[Any, Any]] = []  # the lifeline and the channels
        with contextlib.ExitStack() as theirs:
            try:
                self._process = _start([self._connect(theirs) for _ in self._locks], preload)
            except BaseException:
                self._disconnect()
                raise

    def open(self, setup: WorkerSetup, seconds: float = 300.0) -> str | None:
        """Make the workers; gives their encoder's name. A process that fails, or takes longer, is ended.

        Raises:
            BackendError, ProcessEndedError: the workers cannot be made.
        """
        try:
            with self._channel(0) as connection:
                connection.send(setup)
                if not connection.poll(seconds):
                    self._process.kill()
                answer: str | Exception | None = connection.recv()
            if isinstance(answer, Exception):
                device = isinstance(answer, BackendError)
                raise BackendError(str(answer) if device else f"{self._name}: it cannot be set up: {answer}")
        except BaseException:
            self.end()
            raise
        self.opened = True
        return answer

    def ask(self, channel: int, entries: Sequence[Entry]) -> list[Outcome]:
        """The outcomes of one batch.

        Raises:
            BackendError: a programming error in the process.
            SourceError: it could not read at all.
            ProcessEndedError: the process ended, or its device broke.
        """
        with self._channel(channel) as connection:
            connection.send([(entry.key, *entry[2:]) for entry in entries])
            answers, error, failures = connection.recv()
            outcomes = [
                Rejected(entry, *facts)
                if isinstance(facts[0], str)
                else Encoded(entry, connection.recv_bytes(), *facts)
                for entry, facts in zip(entries, answers, strict=not error)
            ]
        if failures:
            self._on_failures(failures)
        if isinstance(error, BackendError):
            raise ProcessEndedError(None, str(error))
        if isinstance(error, SourceError):
            raise error
        if error:
            raise BackendError(f"worker {self._name} failed with {error}")
        return outcomes

    def end(self, seconds: float = 0) -> int:
        """Kill the process if it still runs after some seconds; its exit status. May be called again."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        self._process.kill()
        status = self._process.wait()
        self._disconnect()
        return status

    def _connect(self, theirs: contextlib.ExitStack) -> int:
        """Add a connection; gives the descriptor of the process's end, which ``theirs`` closes."""
        mine, its = Pipe()
        theirs.enter_context(its)
        if its.fileno() <= 2:  # no standard streams here; over there, one would replace it
            return self._connect(theirs)
        self._connections.append(mine)
        return its.fileno()

    @contextlib.contextmanager
    def _channel(self, number: int) -> Iterator[Connection[Any, Any]]:
        try:
            with self._locks[number + 1]:
                yield self._connections[number + 1]
        except (EOFError, OSError) as error:
            raise ProcessEndedError(self.end(seconds=5)) from error

    def _disconnect(self) -> None:
        # Not while a thread uses one: the next file that is opened gets its number.
        for lock, connection in zip(self._locks, self._connections, strict=False):
            with lock:
                connection.close()


def room_for(processes: int, channels: int) -> int:
    """How many of ``processes`` leave half of this process's descriptors to files.

    Each takes one for each channel, one for the lifeline, and two for a process that repeats a lost batch.
    """
    with contextlib.suppress(ImportError):  # Windows has no such limit
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limit != resource.RLIM_INFINITY:
            return max(1, min(processes, limit // (2 * (channels + 3))))
    return processes


def _start(descriptors: Sequence[int], preload: str) -> subprocess.Popen[bytes]:
    if not sys.executable or getattr(sys, "frozen", False):  # it would start the user's program again
        raise FileNotFoundError(errno.ENOENT, "no Python interpreter is known that could be started")
    arguments = [",".join(map(str, descriptors)), preload, *(entry or os.getcwd() for entry in sys.path)]
    inherited: dict[str, Any] = {"pass_fds": descriptors}
    if sys.platform == "win32":  # they are handles
        for handle in descriptors:
            os.set_handle_inheritable(handle, True)
        inherited = {"startupinfo": subprocess.STARTUPINFO(lpAttributeList={"handle_list": [*descriptors]})}
    return subprocess.Popen(
        [sys.executable, "-c", _COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        start_new_session=True,  # Ctrl-C is for this process only, which then ends the other
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        **inherited,
    )
