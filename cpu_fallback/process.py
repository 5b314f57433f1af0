"""The CPU backend's worker in a process of its own, for machines of many cores.

Threads share one interpreter. Each image needs it for more than a tenth of a millisecond, and a thread that comes back
from OpenCV has to wait for it: of sixteen cores two fifths would stand still, and a GPU's workers beside them wait as
well. A process costs what it takes to start Python (a third of a second) and to copy the bytes there and back.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Sequence

from cpu_fallback.wire import receive, send, widen
from cpu_fallback.worker import CpuWorker
from gpu_pack.errors import BackendError
from gpu_pack.interface import Image, Outcome, Rejected, TransformSpec

#: With this process's own path: without it, Python would look into the working folder first.
_COMMAND = "import sys; sys.path[:] = sys.argv[1:]; from cpu_fallback.child import main; main()"
#: The exit status of a process that somebody killed.
_KILLED = -getattr(signal, "SIGKILL", 9)


class ProcessWorker:
    """A `gpu_pack.interface.Worker`: a `CpuWorker` behind pipes. Its process begins with the first images.

    An image that crashes OpenCV, which ends the whole run where workers are threads, is a `Rejected`. Where Python
    cannot be started once more, the work is done here.

    Attributes:
        name, batch_size: see `CpuWorker`.

    Raises:
        BackendError: ``spec`` passes files through.
    """

    def __init__(self, spec: TransformSpec, name: str = "cpu", batch_size: int = 8) -> None:
        self.name = name
        self.batch_size = batch_size
        self._spec = spec
        self._here = CpuWorker(spec, name, batch_size)  # works where there is no process to be had
        self._child: _Child | None = None
        self._alone = False

    def transform(self, images: Sequence[Image]) -> list[Outcome]:
        """The outcomes of ``images``: same length, same order; a bad image is a `Rejected`.

        Raises:
            BackendError: an error of ours over there.
        """
        try:
            return self._ask(images)
        except _EndedError:  # because of one of them
            return [self._ask_alone(image) for image in images]

    def close(self) -> None:
        """End the process."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def _ask_alone(self, image: Image) -> Outcome:
        try:
            return self._ask([image])[0]
        except _EndedError as ended:
            if ended.status == _KILLED:  # by the system, mostly
                raise BackendError(
                    f"worker {self.name}: its process was killed, and again; memory may be short: run the same command "
                    "again to go on, with fewer --workers"
                ) from None
            reason = f"its decoder's process ended with {ended}: OpenCV crashed on it, or memory is short"
            return Rejected(image.entry, "decode", reason)

    def _ask(self, images: Sequence[Image]) -> list[Outcome]:
        if self._child is None and not self._alone:
            self._start()
        if self._child is None:
            return self._here.transform(images)
        try:
            facts, *codes = self._child.ask([image.data for image in images])
        except (EOFError, OSError):
            status = self._child.end()
            self._child = None
            raise _EndedError(status) from None
        made: str | list[Outcome] = pickle.loads(facts)
        if isinstance(made, str):
            raise BackendError(f"worker {self.name} failed with {made}")
        data = iter(codes)
        return [
            outcome._replace(entry=image.entry)
            if isinstance(outcome, Rejected)
            else outcome._replace(entry=image.entry, data=next(data))
            for image, outcome in zip(images, made, strict=True)
        ]

    def _start(self) -> None:
        try:
            child = _Child()
            try:
                child.ask([pickle.dumps(self._spec)])
                self._child = child
            except (EOFError, OSError):
                child.end()
                raise
        except (EOFError, OSError):
            self._alone = True


class _EndedError(Exception):
    """The process ended."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"exit status {status}" if status >= 0 else f"signal {-status} ({signal.strsignal(-status)})")


class _Child:
    """A process that runs `cpu_fallback.child`.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND, *(entry or os.getcwd() for entry in sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            # In a group of its own: Ctrl-C is for this process, which ends that one when it closes it.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        widen(self._in)
        widen(self._out)

    def ask(self, pieces: Sequence[bytes]) -> list[bytes]:
        """Send a message and wait for the answer.

        Raises:
            EOFError, OSError: the process is gone.
        """
        send(self._in, pieces)
        return receive(self._out)

    def end(self) -> int:
        """Kill the process, if it still runs; its exit status."""
        self._process.kill()
        status = self._process.wait()
        with contextlib.suppress(OSError):
            self._in.close()
        self._out.close()
        return status
