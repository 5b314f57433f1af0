"""Parts of several objects at once, for any process: also one that was forked after object stores had been read.

The client's threads are not in a forked process, so a fresh one reads for it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from typing import Any, NamedTuple

from gpu_pack.errors import GpuPackError, SourceError
from gpu_pack.stores.object_faults import ObjectError
from gpu_pack.stores.object_requests import Request, is_forked, requests_to
from gpu_pack.stores.object_spans import MANY, MANY_BYTES, ask_for_range
from gpu_pack.stores.remote_path import RemotePath

#: With this process's ``sys.path``; neither the user's script nor a module of the working folder is imported.
_COMMAND = "import sys; sys.path[:] = sys.argv[2:]; from gpu_pack.stores.object_parts import serve; serve()"


class Part(NamedTuple):
    """The bytes of an object from ``offset`` to before ``end``; ``etag`` is the one that the object had, or None."""

    path: RemotePath
    etag: str | None
    offset: int
    end: int


def read_parts(parts: Sequence[Part]) -> list[bytes]:
    """The bytes of each part, in order; up to 64 requests and 32 MiB are in flight.

    Raises:
        SourceError: one of them cannot be read, or its object has changed.
    """
    return _Helper.of_this_process().read(parts) if is_forked() else _read_here(parts)


def _read_here(parts: Sequence[Part]) -> list[bytes]:
    found: list[bytes] = []
    window: deque[tuple[Part, Request]] = deque()
    size = 0
    try:
        for part in parts:
            while window and (len(window) == MANY or size + part.end - part.offset > MANY_BYTES):
                size -= window[0][0].end - window[0][0].offset
                found.append(_wait(*window.popleft()))
            path = part.path
            requests = requests_to(path.address, path.options)
            window.append((part, ask_for_range(requests, path.address.key, part.etag, part.offset, part.end)))
            size += part.end - part.offset
        while window:
            found.append(_wait(*window.popleft()))
    finally:
        for _, request in window:
            request.cancel()
    return found


def _wait(part: Part, request: Request) -> bytes:
    try:
        return bytes(request.result())
    except ObjectError as error:
        raise SourceError(f"{part.path}: {error}") from error


# ---- the process that reads for a forked one


class _Helper:
    """A fresh process that reads; it ends when this one does."""

    _started: tuple[int, _Helper] | None = None
    _starting = threading.Lock()

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection, theirs = Pipe()
        with theirs:
            number = theirs.fileno()
            command = [sys.executable, "-c", _COMMAND, str(number), *sys.path]
            # In a session of its own: Ctrl-C is for this process, with which it ends.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, pass_fds=[number], start_new_session=True
            )

    @classmethod
    def of_this_process(cls) -> _Helper:
        if cls._started is None or cls._started[0] != os.getpid():
            cls._starting = threading.Lock() if cls._started is not None else cls._starting
            with cls._starting:
                if cls._started is None or cls._started[0] != os.getpid():
                    cls._started = os.getpid(), cls()
        return cls._started[1]

    def read(self, parts: Sequence[Part]) -> list[bytes]:
        try:
            with self._lock:
                self._connection.send(list(parts))
                answer: list[bytes] | GpuPackError = self._connection.recv()
        except (OSError, EOFError) as error:
            type(self)._started = None
            raise SourceError(f"{parts[0].path}: the process that reads it has ended") from error
        if isinstance(answer, GpuPackError):
            raise answer
        return answer


def serve() -> None:
    """What the fresh process does: answer until the other end is closed."""
    connection: Connection[Any, Any] = Connection(int(sys.argv[1]))
    with connection, suppress(EOFError, OSError):
        while True:
            parts = connection.recv()
            try:
                answer: list[bytes] | GpuPackError = _read_here(parts)
            except GpuPackError as error:
                answer = type(error)(str(error))
            connection.send(answer)
