"""Columns do what lists do, in memory and on the disk."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from array import array
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpu_pack.errors import SourceError
from gpu_pack.sources import columns, labels, spill
from gpu_pack.sources.columns import Column
from gpu_pack.sources.key_column import Keys
from gpu_pack.sources.labels import Labels
from gpu_pack.sources.listing import Listing
from gpu_pack.sources.text_column import Texts
from gpu_pack.stores.local import LocalStore
from gpu_pack.stores.store import Stat
from gpu_pack.types import Container, Place
from tests.folders import ENVIRONMENT

TEXTS = st.lists(st.text(max_size=12), max_size=40)
KEYS = st.lists(st.integers(0, 2**64 - 1), max_size=40) | st.integers(0, 30).map(lambda count: [*range(7, 7 + count)])
VALUES = st.lists(st.sampled_from([0.0, -0.0, 1.0, 2.5]), min_size=1, max_size=3).map(tuple)


@pytest.fixture(params=["memory", "disk"], autouse=True)
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """On the disk after a few numbers, and every row with labels of its own after a few different ones."""
    if request.param == "disk":
        monkeypatch.setattr(columns, "IN_MEMORY", 48)
        monkeypatch.setattr(columns, "PIECE", 24)
        monkeypatch.setattr(labels, "MOST_DIFFERENT", 3)
    return str(request.param)


def check(found: Any, expected: list[Any], rows: list[int]) -> None:
    """What every column must do."""
    assert found == expected and len(found) == len(expected) and [*found] == expected
    again = pickle.loads(pickle.dumps(found))
    assert again == expected and type(again) is type(found)
    assert [found[row] for row in rows] == found.many(rows) == [expected[row] for row in rows]
    for form in (rows, array("I", rows), np.array(rows, np.int64)):
        assert found.take(form) == [expected[row] for row in rows]
    half = range(len(expected) // 3, len(expected))
    assert found.take(half) == expected[half.start :] == found[half.start :]
    if expected:
        assert found[-1] == expected[-1]
    with pytest.raises(IndexError):
        found[len(expected)]


def rows_of(expected: list[Any], data: st.DataObject) -> list[int]:
    return data.draw(st.lists(st.integers(0, len(expected) - 1), max_size=20)) if expected else []


HEALTH = settings(max_examples=40, suppress_health_check=[*HealthCheck], deadline=None)


@HEALTH
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40), st.integers(0, 40), st.data())
def test_numbers(numbers: list[int], cut: int, data: st.DataObject) -> None:
    found = Column("q")
    for number in numbers[:cut]:
        found.append(number)
    found.append_all(numbers[cut:])
    check(found, numbers, rows_of(numbers, data))
    assert b"".join(found.pieces()) == array("q", numbers).tobytes()
    assert found.numpy().tolist() == numbers and found.different() == {*numbers}
    assert found.slice(len(numbers) // 2, len(numbers)) == array("q", numbers[len(numbers) // 2 :]).tobytes()


@HEALTH
@given(KEYS, KEYS, st.data())
def test_keys(keys: list[int], more: list[int], data: st.DataObject) -> None:
    found = Keys()
    for key in keys:
        found.append(key)
    if more:
        found.append_all(more)
    check(found, keys + more, rows_of(keys + more, data))
    assert b"".join(found.pieces()) == array("Q", keys + more).tobytes()
    found.extend(Keys(3, 2))
    assert found == [*keys, *more, 3, 4]


@HEALTH
@given(TEXTS, TEXTS, st.data())
def test_texts(texts: list[str], more: list[str], data: st.DataObject) -> None:
    """Any text, also half a pair of surrogates."""
    found, others = Texts(), Texts()
    for text in [*texts, "\udc80"]:
        found.append(text)
    others.append_all(more)
    found.extend(others)
    expected = [*texts, "\udc80", *more]
    check(found, expected, rows_of(expected, data))
    lines = "".join(f"{text}\n" for text in expected).encode("utf-8", "surrogatepass")
    assert b"".join(found.pieces()) == lines and found.nbytes == len(lines)


@HEALTH
@given(st.lists(VALUES, max_size=30), st.lists(VALUES, max_size=10), st.data())
def test_labels(values: list[tuple[float, ...]], more: list[tuple[float, ...]], data: st.DataObject) -> None:
    found = Labels.of(values)
    found.extend(Labels.of(more))
    expected = values + more
    rows = rows_of(expected, data)
    check(found, expected, rows)
    assert [*map(str, found)] == [*map(str, expected)], "-0.0 stays what it is"
    assert b"".join(found.value_pieces()) == array("d", [x for each in expected for x in each]).tobytes()
    assert b"".join(found.count_pieces()) == array("I", map(len, expected)).tobytes()
    ranks, different = found.ranks()
    assert different[ranks].tolist() == [each[0] for each in expected]
    assert different.tolist() == sorted({each[0] for each in expected})
    assert found.different() == {*expected} and found.different(rows) == {expected[row] for row in rows}
    firsts = [expected[row][0] for row in rows]
    assert found.count_firsts(rows) == {first: firsts.count(first) for first in firsts}


@HEALTH
@given(st.lists(st.booleans(), max_size=30), st.data())
def test_listings(placed: list[bool], data: st.DataObject) -> None:
    """Parts of a listing, and parts that are put together again."""
    listing = Listing(LocalStore("photos"))
    for row, inside in enumerate(placed):
        place = Place(Container("a.zip", 9, row % 3), row, 5, "zip", None if row % 2 else row) if inside else None
        listing.add(row * row, (float(row % 4),), f"{row}.jpg", Stat(row - 1, row), place)
    entries = [listing.entry(row) for row in range(len(placed))]
    rows = rows_of(entries, data)
    both = listing.part(rows)
    both.extend(listing.part(range(len(placed))))
    assert [both.entry(row) for row in range(len(both))] == [entries[row] for row in rows] + entries
    assert [*both.versions] == [*rows, *range(len(placed))]
    assert pickle.loads(pickle.dumps(both)) == both


def test_threads_that_read() -> None:
    """As those that look for duplicates: the first of them may write what is still in memory."""
    for _ in range(20):
        texts = Texts()
        for number in range(200):
            texts.append(str(number))
        with ThreadPoolExecutor(8) as pool:
            found = [*pool.map(lambda number, texts=texts: (texts.many([number])[0], texts[number]), range(200))]
        assert found == [(str(number), str(number)) for number in range(200)]


# ---- the disk


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def test_files_have_no_names(folder: Path, where: str) -> None:
    """So that nothing is left of a process that is killed."""
    column = Column("q", bytes(800))
    assert (column._file is not None) == (where == "disk")
    if os.name != "nt":
        assert not [*folder.iterdir()]


@pytest.mark.parametrize("free", [0, 255 << 20])
def test_a_full_disk_is_one_sentence(folder: Path, where: str, monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    texts = Texts()
    if where == "memory":
        texts.append("x" * 1000)
        return
    with pytest.raises(SourceError, match=rf"^{folder}: no room for the list of images.*set TMPDIR to a folder"):
        texts.append("x" * 1000)


def test_a_folder_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(spill, "folder_of_large_files", lambda: str(tmp_path / "gone"))
    with pytest.raises(SourceError, match=r"gone: no room for the list of images.*No such file or directory"):
        spill.SpillFile()


def test_large_files_lie_on_a_disk(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    assert spill.folder_of_large_files() == str(folder)
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    if os.access("/var/tmp", os.W_OK):
        assert spill.folder_of_large_files() == "/var/tmp"


#: Lists 400,000 images, divides them, and prints the bytes that each takes of this process at most.
MEASURED = """
import resource, sys
import numpy
from gpu_pack.pipeline.plan import lists_digest
from gpu_pack.sources.found import Facts, Found
from gpu_pack.sources.make_listing import make_listing
from gpu_pack.sources.splits import Division, divide
from gpu_pack.stores.local import LocalStore
from gpu_pack.stores.store import Stat
COUNT = 400_000
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
def images():
    for row in range(COUNT):
        label = f"class_{row // 400:04d}"
        yield Found(f"{label}/image_{row:09d}.jpg", Stat(row, 1 << 60 | row), label)
before = peak()
listing = make_listing(images(), Facts("x"), LocalStore("x"))
shards = divide(listing.labels, Division({"train": 0.9, "val": 0.1}), classes=True, shard_images=15_000)
lists_digest(listing, shards)
[listing.part(shard.rows) for shard in shards[:3]]
print((peak() - before) / COUNT)
"""


def test_memory(where: str) -> None:
    pytest.importorskip("resource")
    if where == "disk":
        return
    done = subprocess.run([sys.executable, "-c", MEASURED], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 150, "bytes a row; 97 were measured, and 240 with Python's own lists"


def test_a_column_that_another_thread_spills_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "IN_MEMORY", 48)
    monkeypatch.setattr(columns, "PIECE", 80)
    numbers, map_file = [*range(9)], Column._map

    def racing(self: Column) -> memoryview:
        found = map_file(self)
        if self._tail:
            self._spill()
        return found

    monkeypatch.setattr(Column, "_map", racing)
    reads: list[Any] = [
        lambda column: [*array("q", column.slice(0, 9))],
        lambda column: [*column],
        lambda column: [*array("q", b"".join(column.pieces()))],
        lambda column: [column.at(row) for row in numbers],
    ]
    for read in reads:
        column = Column("q", array("q", numbers[:6]).tobytes())
        column.extend(array("q", numbers[6:]).tobytes())
        assert column._spilled == 6 and read(column) == numbers
