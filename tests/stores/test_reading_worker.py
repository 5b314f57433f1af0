"""Workers that read through a store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from gpu_pack.errors import BackendError, SourceError
from gpu_pack.stores.local import LocalStore
from gpu_pack.stores.reading_worker import ReadingWorker
from gpu_pack.types import Encoded, Entry, Image, Rejected
from tests.pipeline.fakes import AnswersWith, EchoWorker


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    for number in range(50):
        (tmp_path / f"{number}").write_bytes(b"%2d" % number)
    return LocalStore(str(tmp_path))


ENTRIES = [Entry(number, (0.0,), f"{number}", 2) for number in range(50)]


def test_outcomes_come_in_order_and_what_cannot_be_read_keeps_its_place(store: LocalStore) -> None:
    missing = {0: "no such file", 7: "no such file", 49: "no such file"}
    for key in missing:
        Path(store.root, f"{key}").unlink()
    worker = EchoWorker(batch_size=8)
    outcomes = ReadingWorker(worker, store).transform(ENTRIES)
    assert {one.entry.key: one.reason for one in outcomes if isinstance(one, Rejected)} == missing
    assert [(one.entry, one.data) for one in outcomes if isinstance(one, Encoded)] == [
        (entry, b"%2d" % entry.key) for entry in ENTRIES if entry.key not in missing
    ]
    assert [one.entry for one in outcomes] == ENTRIES
    assert worker.batches == [6, 8, 8, 8, 8, 8, 1]


def test_the_worker_is_not_asked_about_nothing(store: LocalStore) -> None:
    worker = EchoWorker()
    (outcome,) = ReadingWorker(worker, store).transform([Entry(0, (0.0,), "missing")])
    assert isinstance(outcome, Rejected)
    assert worker.batches == []


def test_what_is_read_and_not_transformed_is_bounded_in_bytes(store: LocalStore) -> None:
    worker = EchoWorker(batch_size=100)
    assert len(ReadingWorker(worker, store, part_bytes=30).transform(ENTRIES)) == 50
    assert worker.batches == [15, 15, 15, 5]


def test_it_stands_for_its_worker(store: LocalStore) -> None:
    worker = EchoWorker("cpu:3", batch_size=64)
    reader = ReadingWorker(worker, store)
    assert (reader.name, reader.batch_size) == ("cpu:3", 64)
    assert ReadingWorker(EchoWorker(batch_size=8), store).batch_size == 32, "so many files are read ahead"
    reader.close()
    assert worker.closed == 1


def test_a_wrong_number_of_outcomes_is_an_error(store: LocalStore) -> None:
    with pytest.raises(BackendError, match="worker liar answered 4 images with 3 outcomes"):
        ReadingWorker(AnswersWith(lambda found: found[:-1]), store).transform(ENTRIES)


def test_storage_that_fails_is_no_fault_of_a_file() -> None:
    class FailingStore(LocalStore):
        def read_many(self, entries: Iterable[Entry]) -> Iterator[Image | Rejected]:
            raise SourceError("too many files are open")
            yield

    with pytest.raises(SourceError, match="too many files are open"):
        ReadingWorker(EchoWorker(), FailingStore("")).transform(ENTRIES)
