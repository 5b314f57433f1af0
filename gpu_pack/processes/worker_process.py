"""One process with its channels, seen from the run's side."""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import IO, Any

from gpu_pack.errors import BackendError
from gpu_pack.processes.messages import receive, send, widen
from gpu_pack.processes.worker_main import Failure, WorkerSetup
from gpu_pack.types import Encoded, Entry, Outcome, Rejected

#: With this process's own path: without it, Python would look into the working folder first.
_COMMAND = "import sys; sys.path[:] = sys.argv[3:]; from gpu_pack.processes.worker_main import main; main()"
#: Importing and setting up takes seconds; whoever takes so many hangs.
_OPEN_SECONDS = 300.0
#: How long a process that answers no more may take to say with what it ended.
_EXIT_SECONDS = 5.0
#: Windows hands on no descriptors but the standard ones.
_MAX_CHANNELS = 1 if sys.platform == "win32" else 256


class ProcessEndedError(Exception):
    """A process that ended, or whose device did.

    Attributes:
        status: its exit status; None where it lives.
        how: the same in words.
    """

    def __init__(self, status: int | None, device: str = "") -> None:
        self.status = status
        self.how = f"exit status {status}"
        if status is not None and status < 0:
            self.how = f"signal {-status} ({signal.strsignal(-status)})"
        super().__init__(device or f"its process ended with {self.how}")


class WorkerProcess:
    """A process that runs `gpu_pack.processes.worker_main`, begun and not yet told what to do.

    Args:
        name: for messages.
        channels: how many questions it can be asked at once. On Windows there is but one, and the others wait for it.
        preload: a module that it will need.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, name: str, channels: int, preload: str) -> None:
        self._name = name
        self._channels: list[tuple[IO[bytes], IO[bytes]]] = []
        self._locks = [threading.Lock() for _ in range(min(channels, _MAX_CHANNELS))]
        theirs: list[int] = []
        try:
            for _ in self._locks:
                batches, there = os.pipe()
                theirs.append(batches)
                opened = os.fdopen(there, "wb", 0)
                try:
                    back, outcomes = os.pipe()
                except OSError:
                    opened.close()
                    raise
                theirs.append(outcomes)
                self._channels.append((opened, os.fdopen(back, "rb")))
            self._process = _start(theirs, preload)
        except BaseException:
            self._let_go()
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        for _, answers in self._channels:
            widen(answers)

    def open(self, setup: WorkerSetup) -> str | None:
        """Have it make its workers; the name of their encoder.

        Raises:
            BackendError: it cannot.
            ProcessEndedError: the process is gone, or hangs.
        """
        limit = threading.Timer(_OPEN_SECONDS, self._process.kill)
        limit.daemon = True
        limit.start()
        try:
            (answer,) = self._exchange(0, [pickle.dumps(setup)])
        finally:
            limit.cancel()
        made: str | Failure | None = pickle.loads(answer)
        if isinstance(made, Failure):
            raise BackendError(made.text if made.device else f"{self._name}: it cannot be set up: {made.text}")
        return made

    def ask(self, channel: int, entries: Sequence[Entry]) -> list[Outcome]:
        """The outcomes of one batch.

        Raises:
            BackendError: an error of ours over there.
            ProcessEndedError: the process is gone, or its device broke.
        """
        facts, *codes = self._exchange(channel, [pickle.dumps([(entry.path, entry.size) for entry in entries])])
        made: list[tuple[Any, ...]] | Failure = pickle.loads(facts)
        if isinstance(made, Failure):
            if made.device:
                raise ProcessEndedError(None, made.text)
            raise BackendError(f"worker {self._name} failed with {made.text}")
        return list(_outcomes(entries, made, codes))

    def end(self, seconds: float = 0) -> int:
        """Kill the process, if it still runs after some seconds; its exit status. May be called again."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        self._process.kill()
        status = self._process.wait()
        self._let_go()
        return status

    def _exchange(self, channel: int, pieces: Sequence[bytes]) -> list[bytes]:
        channel %= len(self._channels)
        there, back = self._channels[channel]
        with contextlib.suppress(EOFError, OSError), self._locks[channel]:
            if not back.closed:
                send(there, pieces)
                return receive(back)
        raise ProcessEndedError(self.end(_EXIT_SECONDS))

    def _let_go(self) -> None:
        # Not under a thread that is about to write: what is opened next gets the number of what is closed now.
        for lock, channel in zip(self._locks, self._channels, strict=False):
            with lock:
                for pipe in channel:
                    with contextlib.suppress(OSError):
                        pipe.close()


def room_for(processes: int, channels: int) -> int:
    """How many of so many processes leave half of what this one may open to the files that it reads and writes.

    The limit is raised first, as far as that may be. Each process takes two descriptors for each channel, and two more
    while a batch is alone.
    """
    try:
        import resource
    except ImportError:  # Windows
        return processes
    each = 2 * (2 * channels + 2)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return processes
    wanted = processes * each
    if soft < wanted:
        raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
    return max(1, min(processes, soft // each))


def _start(descriptors: Sequence[int], preload: str) -> subprocess.Popen[bytes]:
    if not sys.executable or getattr(sys, "frozen", False):  # the program itself would run once more
        raise FileNotFoundError(errno.ENOENT, "no Python interpreter is known that could be started")
    stdin, stdout, *others = descriptors
    arguments = [",".join(map(str, others)), preload, *(entry or os.getcwd() for entry in sys.path)]
    more: dict[str, Any] = {"pass_fds": others} if others else {}
    return subprocess.Popen(
        [sys.executable, "-c", _COMMAND, *arguments],
        stdin=stdin,
        stdout=stdout,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        # In a group of its own: Ctrl-C is for this process, which ends that one when it closes it.
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        **more,
    )


def _outcomes(entries: Sequence[Entry], made: Sequence[tuple[Any, ...]], codes: Sequence[bytes]) -> Iterator[Outcome]:
    """``made`` holds (stage, reason) of a `Rejected`, or (width, height, backend) of an `Encoded`."""
    data = iter(codes)
    for entry, facts in zip(entries, made, strict=True):
        yield Rejected(entry, *facts) if len(facts) == 2 else Encoded(entry, next(data), *facts)
