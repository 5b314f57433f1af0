"""Reading ahead in several stores whose entries come mixed: each sees its own next ones, and the order stays."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from gpu_pack.types import Entry

#: A store's look ahead ends where so many entries of others come in between, which have to be kept meanwhile.
_MOST_BETWEEN = 4096
Ahead = Callable[[Iterable[Entry]], Iterator[Entry]]


class JoinedAhead:
    """Yields entries in their order, and lets each store's `Store.ahead` take its own before their turn.

    Args:
        entries: of all stores.
        number: of the store of an entry.
        stores: their ``ahead``, by number.
    """

    def __init__(self, entries: Iterable[Entry], number: Callable[[Entry], int], stores: list[Ahead]) -> None:
        self._entries, self._number, self._stores = iter(entries), number, stores
        self._order: deque[tuple[int, Entry]] = deque()  # taken from the stream, and not yet yielded
        self._waiting: list[deque[Entry]] = [deque() for _ in stores]  # of these, what its store has not seen
        self._running: list[Iterator[Entry] | None] = [None] * len(stores)

    def run(self) -> Iterator[Entry]:
        """The entries."""
        while self._order or self._take():
            number, entry = self._order.popleft()
            if next(self._running[number] or iter(()), None) is None:  # not begun, or ended at a gap
                running = self._running[number] = self._stores[number](self._own(number))
                next(running)
            yield entry

    def _own(self, number: int) -> Iterator[Entry]:
        """A store's entries, until too many of others come in between."""
        waiting = self._waiting[number]
        while True:
            between = 0
            while not waiting:
                if between == _MOST_BETWEEN or not self._take():
                    return
                between += 1
            yield waiting.popleft()

    def _take(self) -> bool:
        """Take an entry from the stream; False at its end."""
        entry = next(self._entries, None)
        if entry is None:
            return False
        number = self._number(entry)
        self._order.append((number, entry))
        self._waiting[number].append(entry)
        return True
