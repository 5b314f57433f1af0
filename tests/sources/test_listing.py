"""Listings and shards as values: entries made from columns, and copies for other processes."""

from __future__ import annotations

import pickle
from array import array

from gpu_pack.sources.listing import Listing, entries
from gpu_pack.sources.splits import Division, divide
from gpu_pack.stores.local import LocalStore
from gpu_pack.stores.store import Stat
from gpu_pack.types import Entry, Rejected


def make_listing() -> Listing:
    listing = Listing(LocalStore("photos"), classes=("ant", "bee"))
    listing.add(7, (0.0,), "ant/1.jpg", Stat(100, 5))
    listing.add(2**64 - 1, (1.0, 0.5), "bee/2.jpg", Stat(-1, -1))
    listing.add(9, (1.0,), "bee/3.jpg", Stat(0, 6))
    listing.rejects.append(Rejected(Entry(10, (1.0,), "bee/a\\tb.jpg"), "read", "a tab", "name"))
    return listing


def test_rows_become_entries_in_the_order_asked_for() -> None:
    listing = make_listing()
    assert list(entries(listing, array("q", [2, 0, 1]), start=1)) == [
        Entry(7, (0.0,), "ant/1.jpg", 100),
        Entry(2**64 - 1, (1.0, 0.5), "bee/2.jpg", None),
    ]
    assert (len(listing), listing.listed) == (3, 4)


def test_listings_and_shards_survive_pickling() -> None:
    listing = make_listing()
    assert pickle.loads(pickle.dumps(listing)) == listing
    shards = divide([*listing.labels] * 100, Division({"a": 0.5, "b": 0.5}, shards=3))  # type: ignore[arg-type]
    assert len(shards) == 6
    assert pickle.loads(pickle.dumps(shards)) == shards
    assert len(pickle.dumps(shards)) < 6 * 300, "4 bytes a row, and some for the names"
