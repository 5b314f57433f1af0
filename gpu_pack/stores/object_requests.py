"""Requests to one bucket: many in flight on one thread, repeated where the store or the network failed for a moment.

What takes long to import (asyncio, HTTP clients) is imported by the first request: every run imports this module.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from gpu_pack.errors import SourceError
from gpu_pack.stores.address import Address, StoreOptions
from gpu_pack.stores.object_faults import Fault, ObjectError, judge
from gpu_pack.types import Entry

if TYPE_CHECKING:
    import asyncio

_Result = TypeVar("_Result")
#: Objects in a row to which access is denied before it is said of all of them.
_DENIED_IN_A_ROW = 100
#: Of requests before anything was answered.
_FIRST_TRIES = 5


#: At the end of the process, for what the client's threads still hold of Python.
_LAST_SECONDS = 0.05


class Requests:
    """The requests of this process to one bucket, from any thread.

    Args:
        address: of the bucket.
        loop: runs in a thread of its own.

    Attributes:
        obstore: the module.
        client: its store.
        is_web: whether it is a web server.
        retries: how often a request was repeated.
        answered: requests that went well.
        announced: what `ObjectStore.ahead` asked for and nobody took yet.
        last: those of them that were yielded by one that has ended.

    Raises:
        SourceError: obstore is not installed, or there are no credentials.
    """

    def __init__(self, address: Address, options: StoreOptions, loop: asyncio.AbstractEventLoop) -> None:
        from gpu_pack.stores.object_client import import_obstore, open_client

        self.loop = loop
        self.obstore = import_obstore()
        self.client = open_client(address, options)
        self.is_web = address.is_web
        self.retries = 0
        self.announced: dict[Entry, Request] = {}
        self.last: list[Entry] = []
        self._address, self._retry = address, options.retry
        self.answered = 0
        self._denied = 0  # in a row
        self._lock = threading.Lock()
        self._new: deque[Request] = deque()
        self._told = False  # its thread knows that there are new ones

    # ---- one that is waited for

    def call(self, key: str, ask: Callable[[], _Result]) -> _Result:
        """Ask in this thread.

        Raises:
            ObjectError: it failed for good.
            SourceError: so would any other.
        """
        tried, answered = 0, self.answered
        while True:
            tried += 1
            try:
                result = ask()
            except Exception as error:
                time.sleep(self.pause(key, error, tried, answered))
            else:
                self.count_answer()
                return result

    # ---- many at once

    def start(self, key: str, ask: Callable[[], Any]) -> Request:
        """Ask in the thread of the requests; ``ask`` gives an awaitable there."""
        request = Request(self, key, ask)
        self._new.append(request)
        if not self._told:  # each wake-up of a thread costs as much as a sixth of a request
            self._told = True
            self.loop.call_soon_threadsafe(self._begin_new)
        return request

    def _begin_new(self) -> None:
        self._told = False  # before the new ones are taken: what comes later is told again
        while self._new:
            self._new.popleft().begin()

    # ---- what becomes of a failure

    def pause(self, key: str, error: BaseException, tried: int, answered: int) -> float:
        """Seconds until the next try.

        Args:
            tried: how often it was tried.
            answered: requests that had gone well when it began.

        Raises:
            ObjectError, SourceError: there is none.
        """
        if isinstance(error, (SourceError, ObjectError)):
            raise error
        address = self._address.below(key)
        fault = judge(error, address)
        if fault.kind == "fatal":
            raise SourceError(fault.reason) from error
        if fault.kind == "transient":
            # An address with a slip in it never answers: that is said within seconds.
            tries = self._retry.tries if self.answered else min(self._retry.tries, _FIRST_TRIES)
            if tried < tries:
                with self._lock:
                    self.retries += 1
                return self._retry.seconds(tried)
            fault = Fault("refused", f"{fault.reason}, {tried} times")
            if self.answered == answered:
                raise SourceError(
                    f"{address}: {fault.reason}, and nothing else was read meanwhile: run the same command again to "
                    "resume"
                ) from error
        if fault.kind == "denied":
            self._count_denial(address, fault)
        raise ObjectError(fault) from error

    def count_answer(self) -> None:
        with self._lock:
            self.answered += 1
            self._denied = 0

    def _count_denial(self, address: Address, fault: Fault) -> None:
        with self._lock:
            self._denied += 1
            many = self._denied >= _DENIED_IN_A_ROW
        if many:
            raise SourceError(f"{address}: {fault.reason}, as it is to all {_DENIED_IN_A_ROW} that were asked for last")


class Request:
    """One request of `Requests.start`.

    Attributes:
        requests: which it is one of.
        key: of the object.
    """

    def __init__(self, requests: Requests, key: str, ask: Callable[[], Any]) -> None:
        self.requests, self.key, self._ask = requests, key, ask
        self._tried, self._answered = 0, requests.answered
        self._ended = threading.Event()
        self._cancelled = False
        self._pending: asyncio.Future[Any] | None = None
        self._result: Any = None
        self._error: Exception | None = None

    def result(self) -> Any:
        """Wait for the result.

        Raises:
            ObjectError: it failed for good.
            SourceError: so would any other.
        """
        self._ended.wait()
        if self._error is not None:
            raise self._error
        return self._result

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self._cancelled = True
        if self._ended.is_set():  # a thread's wake-up costs more than what there is to do
            self._result = None
            return
        self.requests.loop.call_soon_threadsafe(self._stop)

    # ---- in the thread of the requests

    def begin(self) -> None:
        if self._cancelled:
            return
        import asyncio

        self._tried += 1
        try:
            self._pending = asyncio.ensure_future(self._ask())
        except Exception as error:
            self._fail(error)
        else:
            self._pending.add_done_callback(self._end)

    def _stop(self) -> None:
        self._result = None
        if self._pending is not None:
            self._pending.cancel()

    def _end(self, pending: asyncio.Future[Any]) -> None:
        import asyncio

        self._pending = None
        error = asyncio.CancelledError() if pending.cancelled() else pending.exception()
        if self._cancelled:
            return
        if error is not None:
            self._fail(error)
            return
        self.requests.count_answer()
        self._result = pending.result()
        self._ended.set()

    def _fail(self, error: BaseException) -> None:
        try:
            pause = self.requests.pause(self.key, error, self._tried, self._answered)
        except Exception as final:
            self._error = final
            self._ended.set()
        else:
            self.requests.loop.call_later(pause, self.begin)


# ---- of this process

_LOCK = threading.Lock()
_OPEN: dict[tuple[str, str, StoreOptions], Requests] = {}
#: The thread of the requests, and the process that it is in.
_LOOPS: list[tuple[asyncio.AbstractEventLoop, int]] = []


def is_forked() -> bool:
    """Whether this process was forked from one that had read object stores, so that it cannot read any."""
    return bool(_LOOPS) and _LOOPS[0][1] != os.getpid()


def requests_to(address: Address, options: StoreOptions) -> Requests:
    """The requests of this process to an address's bucket.

    Raises:
        SourceError: obstore is not installed, there are no credentials, or this process was forked from one that uses
            object stores: the client's threads are not here, and requests would hang.
    """
    if is_forked():
        raise SourceError(
            f"{address}: this process was forked from one that had read object stores, and cannot read any: start "
            "processes by spawn or forkserver"
        )
    key = address.scheme, address.bucket, options
    found = _OPEN.get(key)
    if found is None:
        with _LOCK:
            found = _OPEN.get(key)
            if found is None:
                found = _OPEN[key] = Requests(Address(address.scheme, address.bucket), options, _loop())
    return found


def count_retries() -> int:
    """How often this process has repeated a request, to any bucket."""
    return sum(requests.retries for requests in tuple(_OPEN.values()))


def _loop() -> asyncio.AbstractEventLoop:
    if not _LOOPS:
        import asyncio

        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="object-store", daemon=True)
        thread.start()
        _LOOPS.append((loop, os.getpid()))
        atexit.register(_end, loop, thread, os.getpid())
    return _LOOPS[0][0]


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread, process: int) -> None:
    """Let the client's own threads be done with Python before it ends: one that is not aborts the process."""
    import asyncio

    if os.getpid() != process:
        return

    def stop() -> None:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.call_soon(loop.stop)

    loop.call_soon_threadsafe(stop)
    thread.join(1.0)
    time.sleep(_LAST_SECONDS)
