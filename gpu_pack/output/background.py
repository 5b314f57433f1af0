"""One thread that does one thing after another, while its caller goes on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

_Item = TypeVar("_Item")
_WAIT = 0.1
#: A request that is under way cannot be called back.
_STOP_SECONDS = 10.0


class Background(Generic[_Item]):
    """Calls ``do`` with each item, in order, on a thread. One item at most waits, and `put` with a second one.

    Attributes:
        stopped: `stop` was called: whatever is under way should end.
    """

    def __init__(self, do: Callable[[_Item], None], name: str) -> None:
        self._do, self._name = do, name
        self._items: queue.Queue[_Item] = queue.Queue(1)
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self.stopped = False

    def put(self, item: _Item) -> None:
        """Hand over an item; raises what an earlier one raised."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        while True:
            self.check()
            with suppress(queue.Full):
                self._items.put(item, timeout=_WAIT)
                return

    def check(self) -> None:
        """Raise what an item raised."""
        if self._error is not None:
            raise self._error

    def wait(self, on_wait: Callable[[], None]) -> None:
        """Wait until every item is done; ``on_wait`` is called a few times a second meanwhile."""
        while self._items.unfinished_tasks and self._error is None:
            on_wait()
            threading.Event().wait(_WAIT)  # in pieces, so that Ctrl-C ends it on every system
        self.check()

    def stop(self) -> None:
        """Drop what waits, and give what is under way some seconds to end. May be called again."""
        self.stopped = True
        if self._thread is not None:
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        while not self.stopped:
            try:
                item = self._items.get(timeout=_WAIT)
            except queue.Empty:
                continue
            try:
                if self._error is None and not self.stopped:
                    self._do(item)
            except BaseException as error:
                self._error = error
            self._items.task_done()
