"""What every store must do, as a class to inherit: a new store says how one is made, and gets every test."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest

from gpu_pack.errors import SourceError
from gpu_pack.stores.store import Stat, Store
from gpu_pack.types import Entry, Image, Rejected


class StoreContract:
    """Inherit it as ``TestMyStore``, and make an empty store in `open_store`."""

    def open_store(self, folder: Path) -> Store:
        """A new store, empty but for a folder ``sub``; ``folder`` is an empty local folder for whatever it needs."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return self.open_store(tmp_path)

    @pytest.fixture
    def entries(self, store: Store) -> Sequence[Entry]:
        """Forty files, more than a local store reads ahead: file 7 is ``7`` seven times; file 0 is empty."""
        for number in range(40):
            store.write(f"{number:03d}", b"%d" % number * (number % 10))
        return [Entry(number, (0.0,), f"{number:03d}") for number in range(40)]

    @pytest.mark.parametrize("sized", [True, False])
    def test_files_are_read_whole_and_in_the_order_of_the_entries(
        self, store: Store, entries: Sequence[Entry], sized: bool
    ) -> None:
        asked = [entry._replace(size=store.stat(entry.path).size if sized else None) for entry in reversed(entries)]
        found = list(store.read_many(asked))
        assert found == [Image(entry, b"%d" % entry.key * (entry.key % 10)) for entry in asked]
        assert len(found) == 40

    def test_what_cannot_be_read_keeps_its_place(self, store: Store, entries: Sequence[Entry]) -> None:
        missing = Entry(7, (0.0,), "missing")
        found = list(store.read_many([*entries[:7], missing, *entries[8:]]))
        assert [item.entry.key for item in found] == list(range(40))
        assert [item for item in found if isinstance(item, Rejected)] == [
            Rejected(missing, "read", "no such file", "missing")
        ]

    @pytest.mark.parametrize("listed", [4, 400])
    def test_a_file_of_another_size_than_listed_is_rejected(self, store: Store, listed: int) -> None:
        store.write("x", b"12345678")
        (item,) = store.read_many([Entry(0, (0.0,), "x", listed)])
        assert isinstance(item, Rejected) and item.stage == "read"
        assert item.reason == f"the file changed while packing: {listed} bytes when listed, 8 now"

    def test_a_path_that_no_file_can_have_is_rejected(self, store: Store) -> None:
        (item,) = store.read_many([Entry(0, (0.0,), "a\0b")])
        assert isinstance(item, Rejected) and "not a usable file name" in item.reason

    def test_nothing_is_read_of_no_entries(self, store: Store) -> None:
        assert list(store.read_many([])) == []

    def test_sizes_and_times(self, store: Store) -> None:
        store.write("sub/x", b"12345678")
        size, mtime = store.stat("sub/x")
        assert size == 8 and mtime > 0
        assert store.stat("missing") == store.stat("sub") == store.stat("a\0b") == Stat(-1, -1)

    def test_a_folder_is_listed_by_name(self, store: Store) -> None:
        for name in ("b", "a", "c", "sub/d"):
            store.write(name, b"1")
        assert [(item.name, item.is_dir()) for item in store.list("")] == [
            ("a", False),
            ("b", False),
            ("c", False),
            ("sub", True),
        ]
        (item,) = store.list("sub")
        assert item.name == "d"
        assert store.stat(item.path).size == 1, "what is listed can be found"

    def test_a_folder_that_is_not_there(self, store: Store) -> None:
        with pytest.raises(SourceError, match="missing: cannot be listed"):
            store.list("missing")

    def test_a_file_is_replaced(self, store: Store) -> None:
        store.write("x", b"before")
        store.write("x", b"now")
        (item,) = store.read_many([Entry(0, (0.0,), "x", 3)])
        assert isinstance(item, Image) and item.data == b"now"
        assert [item.name for item in store.list("")] == ["sub", "x"], "and nothing else is left there"

    def test_another_process_opens_it_for_itself(self, store: Store) -> None:
        store.write("x", b"12")
        there: Store = pickle.loads(pickle.dumps(store))
        assert there == store
        (item,) = there.read_many([Entry(0, (0.0,), "x", 2)])
        assert isinstance(item, Image) and item.data == b"12"
