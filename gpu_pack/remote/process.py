"""One process with its lanes, seen from the run's side."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import IO, Any

from gpu_pack.errors import BackendError
from gpu_pack.interface import Encoded, Entry, Outcome, Rejected
from gpu_pack.remote.child import Failure, Opening
from gpu_pack.remote.wire import receive, send, widen

#: With this process's own path: without it, Python would look into the working folder first.
_COMMAND = "import sys; sys.path[:] = sys.argv[3:]; from gpu_pack.remote.child import main; main()"
#: How long a process that answers no more may take to say with what it ended.
_EXIT_SECONDS = 5.0
#: Windows hands on no descriptors but the standard ones.
_MOST_LANES = 1 if sys.platform == "win32" else 256


class EndedError(Exception):
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


class Process:
    """A process that runs `gpu_pack.remote.child`, begun and not yet told what to do.

    Args:
        name: for messages.
        lanes: how many questions it can be asked at once. On Windows there is but one, and the others wait for it.
        preload: a module that it will need.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, name: str, lanes: int, preload: str) -> None:
        self._name = name
        pipes = [(os.pipe(), os.pipe()) for _ in range(min(lanes, _MOST_LANES) - 1)]  # there, and back
        theirs = [descriptor for (there, _), (_, back) in pipes for descriptor in (there, back)]
        self._lanes: list[tuple[IO[bytes], IO[bytes]]] = [
            (os.fdopen(there, "wb", 0), os.fdopen(back, "rb")) for (_, there), (back, _) in pipes
        ]
        self._locks = [threading.Lock() for _ in range(len(pipes) + 1)]
        try:
            self._process = _start(theirs, preload)
        except OSError:
            self._let_go()
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._lanes.append((self._process.stdin, self._process.stdout))
        self._lanes.insert(0, self._lanes.pop())
        for _, back in self._lanes:
            widen(back)

    def open(self, opening: Opening) -> str | None:
        """Have it make its workers; the name of their encoder.

        Raises:
            BackendError: it cannot.
            EndedError: the process is gone.
        """
        (answer,) = self._exchange(0, [pickle.dumps(opening)])
        made: str | Failure | None = pickle.loads(answer)
        if isinstance(made, Failure):
            raise BackendError(made.text)
        return made

    def ask(self, lane: int, entries: Sequence[Entry]) -> list[Outcome]:
        """The outcomes of one batch.

        Raises:
            BackendError: an error of ours over there.
            EndedError: the process is gone, or its device broke.
        """
        facts, *codes = self._exchange(lane, [pickle.dumps([(entry.path, entry.size) for entry in entries])])
        made: list[tuple[Any, ...]] | Failure = pickle.loads(facts)
        if isinstance(made, Failure):
            if made.device:
                raise EndedError(None, made.text)
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

    def _exchange(self, lane: int, pieces: Sequence[bytes]) -> list[bytes]:
        lane %= len(self._lanes)
        there, back = self._lanes[lane]
        with contextlib.suppress(EOFError, OSError), self._locks[lane]:
            if not back.closed:
                send(there, pieces)
                return receive(back)
        raise EndedError(self.end(_EXIT_SECONDS))

    def _let_go(self) -> None:
        # Not under a thread that is about to write: what is opened next gets the number of what is closed now.
        for lock, lane in zip(self._locks, self._lanes, strict=False):
            with lock:
                for pipe in lane:
                    with contextlib.suppress(OSError):
                        pipe.close()


def _start(descriptors: Sequence[int], preload: str) -> subprocess.Popen[bytes]:
    arguments = [",".join(map(str, descriptors)), preload, *(entry or os.getcwd() for entry in sys.path)]
    more: dict[str, Any] = {"pass_fds": descriptors} if descriptors else {}
    return subprocess.Popen(
        [sys.executable, "-c", _COMMAND, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
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
