"""Several stores as one: the contract of a store, and reading ahead where entries of several come mixed."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gpu_pack.stores.joined_store import JoinedStore
from gpu_pack.stores.local import LocalStore
from gpu_pack.types import Entry
from tests.stores.store_contract import StoreContract


class TestJoinedStore(StoreContract):
    def open_store(self, folder: Path) -> JoinedStore:
        (folder / "sub").mkdir()
        return JoinedStore((("sub/", LocalStore(str(folder / "sub"))), ("", LocalStore(str(folder)))))


@dataclass(frozen=True)
class _LookingStore(LocalStore):
    """Looks 16 entries ahead, and notes what it has seen."""

    seen: list[str] = field(default_factory=list)

    def ahead(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        waiting: deque[Entry] = deque()
        for entry in entries:
            self.seen.append(entry.path)
            waiting.append(entry)
            if len(waiting) > 16:
                yield waiting.popleft()
        yield from waiting


@pytest.mark.parametrize("share", [0.5, 0.999, 0.0003])
def test_each_store_sees_its_own_next_entries_and_the_order_stays(share: float) -> None:
    a, b = _LookingStore(""), _LookingStore("")
    joined = JoinedStore((("a/", a), ("b/", b)))
    chance = random.Random(1)
    entries = [Entry(key, (0.0,), f"{'a' if chance.random() < share else 'b'}/{key}") for key in range(20_000)]
    wanted = [entry for entry in entries if entry.path[0] == "a"]
    taken = iter(entries)
    found = joined.ahead(taken)
    first = [next(found) for _ in range(100)]
    assert first == entries[:100]
    for store, name in ((a, "a"), (b, "b")):
        yielded = sum(entry.path[0] == name for entry in first)
        if share > 0.001 and yielded:
            assert len(store.seen) == yielded + 16, "as far ahead as if it were alone"
    assert list(found) == entries[100:]
    assert a.seen == [str(entry.key) for entry in wanted]
    assert len(b.seen) == len(entries) - len(wanted)


def test_a_store_whose_entries_are_over_does_not_take_in_the_whole_stream() -> None:
    joined = JoinedStore((("a/", _LookingStore("")), ("b/", LocalStore(""))))
    taken: list[int] = []

    def entries() -> Iterator[Entry]:
        for key in range(100_000):
            taken.append(key)
            yield Entry(key, (0.0,), f"{'a' if key < 5 else 'b'}/{key}")

    found = joined.ahead(entries())
    assert [next(found).key for _ in range(5)] == list(range(5))
    assert len(taken) < 5000
    assert sum(1 for _ in found) == 100_000 - 5
