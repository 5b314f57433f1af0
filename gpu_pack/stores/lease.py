"""A lock in an object store: an object that its owner renews, and that is anybody's once it is not."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from gpu_pack.errors import OutputError, OutputLockedError
from gpu_pack.stores.object_folder import Found, ObjectFolder, Version

NAME = "lock"
_RELEASE_SECONDS = 5.0
_log = logging.getLogger("gpu_pack")


@dataclass(frozen=True)
class LeaseSettings:
    """How long a lock holds.

    Attributes:
        seconds: since it was written last; then another run may take it.
        renew_seconds: between two renewals.
    """

    seconds: float = 30.0
    renew_seconds: float = 10.0


class Lease:
    """Holds the object ``lock`` of a folder from construction to `release`, renewed by a thread.

    Args:
        folder: of the lock.
        place: what it locks, for messages.
        origin: a text that only runs of this machine have of which one at most is alive: a lock of another one of
            them is taken at once.
        clock: seconds that also count while the machine sleeps.

    Raises:
        OutputLockedError: another run holds it.
        OutputError: the store refuses, or does not answer.
    """

    def __init__(
        self,
        folder: ObjectFolder,
        place: str,
        settings: LeaseSettings,
        origin: str,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._owner, self._origin = uuid4().hex, origin
        self._folder, self._place, self._settings = folder, place, settings
        self._clock = clock or _clock
        self._mutex, self._ended = threading.Lock(), threading.Event()
        self._lost, self._count = False, 0
        self._renewed = self._clock()
        self._version = self._proved(self._acquire())
        if self._version is None:
            _log.warning("%s: the store knows no conditional put: nothing keeps two runs apart there", place)
            return
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise `OutputLockedError` if another run has taken the lock; one that ran out unnoticed is renewed."""
        if self._version is None:
            return
        if not self._lost and self._age() >= self._settings.seconds:
            self._renew()
        if self._lost:
            raise OutputLockedError(
                f"{self._place}: another run took over, since this one had not renewed its lock for "
                f"{self._settings.seconds:g} s; this one stops here"
            )

    def release(self) -> None:
        """Remove the lock, if it is still held; given up after seconds, since it runs out. May be called again."""
        if self._ended.is_set():
            return
        self._ended.set()
        if self._version is None or not (self._lost or self._age() >= self._settings.seconds):
            remover = threading.Thread(target=self._remove, name="lease", daemon=True)
            remover.start()
            remover.join(_RELEASE_SECONDS)

    # ---- acquire

    def _acquire(self) -> Version | None:
        """The lock's version; None where the store knows no conditions."""
        answer = self._folder.put_if(NAME, self._text(), None)
        if answer == "conflict":
            answer = self._take_over()
        if answer == "conflict":
            raise OutputLockedError(f"{self._place}: another gpu-pack run has just begun to write there: wait for it")
        return None if isinstance(answer, str) else answer

    def _take_over(self) -> Any:
        """Replace a lock that has run out."""
        found = self._folder.look(NAME)
        if found is None:
            return self._folder.put_if(NAME, self._text(), None)
        holder = _read(found)
        if holder.get("owner") == self._owner:  # the answer to the first put was lost
            return found.version
        died = (holder.get("origin"), holder.get("host")) == (self._origin, socket.gethostname())
        seconds = holder["seconds"] if isinstance(holder.get("seconds"), (int, float)) else self._settings.seconds
        if not died and not self._ran_out(found, seconds):
            raise OutputLockedError(
                f"{self._place}: another gpu-pack run (process {holder.get('process')} on {holder.get('host')}) is "
                f"writing there, or died within the last {seconds:g} s: wait for it, or choose another "
                "output"
            )
        return self._folder.put_if(NAME, self._text(), found.version)

    def _ran_out(self, found: Found, seconds: float) -> bool:
        """By the store's own clock, which tells whole seconds."""
        return (self._store_time() - found.modified).total_seconds() >= seconds + 1

    def _store_time(self) -> datetime:
        name = f"clock-{self._owner}"
        try:
            self._folder.put(name, b"")
            now = self._folder.look(name)
        finally:
            self._folder.delete([name])
        assert now is not None
        return now.modified

    def _proved(self, first: Version | None) -> Version | None:
        """The lock's version, once the store has shown that it keeps to conditions; there are some that ignore them."""
        second = "unsupported" if first is None else self._folder.put_if(NAME, self._text(), first)
        if isinstance(second, str):
            return None
        refused = [self._folder.put_if(NAME, self._text(), version) for version in (first, None)]
        return second if refused == ["conflict", "conflict"] else None

    # ---- keep

    def _keep(self) -> None:
        while not self._ended.wait(self._settings.renew_seconds):
            with suppress(OutputError):  # tried again; `check` raises where it matters
                self._renew()

    def _remove(self) -> None:
        with suppress(OutputError):
            self._folder.delete([NAME])

    def _renew(self) -> None:
        with self._mutex:
            if self._lost or self._ended.is_set():
                return
            began = self._clock()
            answer = self._folder.put_if(NAME, self._text(), self._version)
            if isinstance(answer, str):
                found = self._folder.look(NAME)
                if found is None or _read(found).get("owner") != self._owner:
                    self._lost = True
                    return
                answer = found.version
            self._version, self._renewed = answer, began

    def _age(self) -> float:
        return self._clock() - self._renewed

    def _text(self) -> bytes:
        """Another one each time, since etags are made of the bytes."""
        self._count += 1
        value = {
            "owner": self._owner,
            "origin": self._origin,
            "host": socket.gethostname(),
            "process": os.getpid(),
            "seconds": self._settings.seconds,
            "count": self._count,
        }
        return json.dumps(value).encode()


def _clock() -> float:
    """Seconds that also count while the machine sleeps, where the system has such a clock."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def _read(found: Found) -> dict[str, Any]:
    try:
        value = json.loads(found.data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
