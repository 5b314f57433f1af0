"""What every store must do, as a class to inherit: a new store says how one is made, and gets every test."""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from gpu_pack.errors import SourceError
from gpu_pack.stores.store import Stat, Store
from gpu_pack.types import Container, Entry, Image, Place, Rejected


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

    def test_images_inside_of_a_file_are_read_at_their_offsets(self, store: Store, entries: Sequence[Entry]) -> None:
        store.write("sub/x.tar", b"..first-second..")
        container = Container("sub/x.tar", *store.stat("sub/x.tar"))
        places = [
            Place(container, 2, 5, crc=zlib.crc32(b"first")),
            Place(container, 8, 6),
            Place(container, 2, 5, crc=1),
            Place(container, 14, 5),
            Place(container._replace(version=1), 2, 5),
        ]
        asked = [Entry(n, (0.0,), f"x.tar!/{n}", place.length, place) for n, place in enumerate(places)]
        first, second, damaged, outside, changed = store.read_many(asked)
        assert [first, second] == [Image(asked[0], b"first"), Image(asked[1], b"second")]
        for found, reason, code in [
            (damaged, "damaged in its archive: its checksum (CRC-32) is not the one that its archive has", "damaged"),
            (outside, "sub/x.tar ends before it", "truncated"),
            (changed, "sub/x.tar changed while packing", "changed"),
        ]:
            assert isinstance(found, Rejected) and (found.reason, found.code) == (reason, code)

    def test_members_of_a_zip_are_read_from_their_local_headers(self, store: Store) -> None:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("stored", b"12345678")
            archive.writestr("deflated", b"1234" * 100, zipfile.ZIP_DEFLATED)
            offsets = [info.header_offset for info in archive.infolist()] + [archive.start_dir]
        store.write("x.zip", file.getvalue())
        container = Container("x.zip", *store.stat("x.zip"))
        stored, deflated = (Place(container, a, b - a, "zip") for a, b in pairwise(offsets))
        wanted = [(stored, 8), (deflated, 400), (deflated, 399), (stored._replace(offset=1), 8)]
        asked = [Entry(n, (0.0,), "x", size, place) for n, (place, size) in enumerate(wanted)]
        found = list(store.read_many(asked))
        assert [item.data for item in found if isinstance(item, Image)] == [b"12345678", b"1234" * 100]
        reasons = [item.reason for item in found if isinstance(item, Rejected)]
        assert reasons == [
            "damaged in its archive: it has 400 bytes where its archive says 399",
            "damaged in its archive: there is no local header where the directory says",
        ]

    def test_what_is_announced_comes_unchanged(self, store: Store, entries: Sequence[Entry]) -> None:
        assert list(store.ahead(entries)) == entries
        announced = store.ahead(iter(entries))
        first = [next(announced) for _ in range(5)]
        assert list(store.read_many(first)) == [Image(entry, b"%d" % entry.key * entry.key) for entry in first]

    def test_a_file_is_read_at_offsets(self, store: Store) -> None:
        store.write("sub/x", b"0123456789")
        with store.open("sub/x") as file:
            assert file.stat == store.stat("sub/x")
            assert [file.read_at(0, 2), file.read_at(4, 3), file.read_at(8, 9), file.read_at(20, 1)] == [
                b"01",
                b"456",
                b"89",
                b"",
            ]
        for name in ("missing", "sub", "a\0b"):
            with pytest.raises(SourceError, match=name if name != "a\0b" else "not a usable file name"):
                store.open(name)

    def test_nothing_is_read_of_no_entries(self, store: Store) -> None:
        assert list(store.read_many([])) == []

    def test_sizes_and_times(self, store: Store) -> None:
        store.write("sub/x", b"12345678")
        size, version = store.stat("sub/x")
        assert size == 8 and version > 0
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
        assert [item.name for item in store.list("sub/")] == ["d"]
        (item,) = store.list("sub")
        assert item.name == "d"
        assert store.stat(f"sub/{item.name}").size == 1, "what is listed can be found"

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
