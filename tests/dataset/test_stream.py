"""RecordStream without PyTorch: every record once an epoch, in any number of parts, from any point on."""

from __future__ import annotations

import json
import pickle
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_pack.dataset import RecordDataset, RecordStream
from gpu_pack.dataset.order import Share, shuffled
from gpu_pack.errors import UsageError
from tests.tools.datasets import smooth_jpeg
from tests.tools.foreign_records import write_rec

COUNT = 301


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards, one of them without records."""
    path = tmp_path_factory.mktemp("shards")
    images = [smooth_jpeg(key) for key in range(5)]
    for shard, keys in enumerate((range(180), range(180, 180), range(180, COUNT))):
        rec = path / f"train-{shard:05d}-of-00003.rec"
        write_rec(rec, ((key, key, key, images[key % 5]) for key in keys))
    return path


def labels(stream: Any) -> list[int]:
    return [label for _, label in stream]


def test_items_in_order_are_the_datasets(folder: Path) -> None:
    stream, dataset = RecordStream(folder), RecordDataset(folder)
    assert len(stream) == len(dataset) == COUNT and stream.labels.tolist() == list(range(COUNT))
    for (image, label), (wanted, wanted_label) in zip(stream, dataset, strict=True):
        assert np.array_equal(image, wanted) and label == wanted_label
    assert labels(RecordStream(folder, decode=False, target_transform=lambda label: -label))[5] == -5


@pytest.mark.parametrize("shuffle", [1, 50, 1000])
def test_epochs_are_shuffled_differently_and_alike_for_a_seed(folder: Path, shuffle: int) -> None:
    stream = RecordStream(folder, decode=False, shuffle=shuffle, seed=3)
    first, second = labels(stream), labels(stream)
    assert sorted(first) == sorted(second) == list(range(COUNT)) and first != second
    assert labels(RecordStream(folder, decode=False, shuffle=shuffle, seed=3)) == first
    assert labels(RecordStream(folder, decode=False, shuffle=shuffle, seed=4)) != first
    stream.set_epoch(0)
    assert labels(stream) == first and labels(stream) == second
    stream.set_epoch(1)
    assert labels(stream) == second


@pytest.mark.parametrize("world", [1, 2, 3, 7, 400])
def test_ranks_give_each_record_once(folder: Path, world: int) -> None:
    streams = [RecordStream(folder, decode=False, shuffle=20, rank=rank, world=world) for rank in range(world)]
    found = [labels(stream) for stream in streams]
    assert sorted(label for part in found for label in part) == list(range(COUNT))
    assert [len(stream) for stream in streams] == list(map(len, found))
    assert max(map(len, found)) - min(map(len, found)) <= 1


def test_shares_of_ranks_and_workers_make_the_whole() -> None:
    for count in (0, 1, 10, 1001):
        for world, workers in ((1, 1), (2, 3), (5, 4)):
            shares = [Share(rank, world, each, workers) for rank in range(world) for each in range(workers)]
            assert [place for share in shares for place in share.of(count)] == list(range(count))


@pytest.mark.parametrize("shuffle", [0, 1, 40, 1000])
@pytest.mark.parametrize("given", [0, 1, 64, 200, COUNT - 1, COUNT])
def test_goes_on_where_it_stood(folder: Path, shuffle: int, given: int) -> None:
    stream = RecordStream(folder, decode=False, shuffle=shuffle)
    labels(stream)
    going = iter(stream)
    before = labels(islice(going, given))
    state = json.loads(json.dumps(stream.state_dict()))
    after = labels(going)
    assert len(before) == given and sorted(before + after) == list(range(COUNT))
    other = RecordStream(folder, decode=False, shuffle=shuffle)
    other.load_state_dict(state)
    assert other.state_dict() == state
    other.set_epoch(1)
    assert labels(other) == after
    assert labels(other) == labels(stream)


def test_another_epoch_drops_the_position(folder: Path) -> None:
    stream = RecordStream(folder, decode=False, shuffle=10)
    next(iter(stream))
    state = stream.state_dict()
    stream.load_state_dict(state)
    stream.set_epoch(1)
    assert len(labels(stream)) == COUNT
    stream.load_state_dict(state)
    assert len(labels(stream)) == COUNT - 1


def test_a_state_of_something_else_is_refused(folder: Path) -> None:
    state = RecordStream(folder, shuffle=10).state_dict()
    for stream, sentence in (
        (RecordStream(folder, shuffle=11), "shuffle=10, but here it is 11"),
        (RecordStream(folder, shuffle=10, rank=1, world=2), "rank=0, but here it is 1"),
        (RecordStream(folder / "train-00000-of-00003.rec", shuffle=10), "records=301, but here it is 180"),
    ):
        stream.load_state_dict(state)
        with pytest.raises(UsageError, match=sentence):
            next(iter(stream))
    with pytest.raises(UsageError, match="no state of a RecordStream"):
        RecordStream(folder).load_state_dict({"epoch": 0})


def test_arguments_out_of_range(folder: Path) -> None:
    for given in ({"shuffle": -1}, {"rank": 0}, {"world": 2}, {"rank": 2, "world": 2}):
        with pytest.raises(UsageError, match=next(iter(given))):
            RecordStream(folder, **given)  # type: ignore[arg-type]


def test_pickles_in_the_middle(folder: Path) -> None:
    stream = RecordStream(folder, decode=False, shuffle=10)
    going = iter(stream)
    labels(islice(going, 100))
    other = RecordStream(folder, decode=False, shuffle=10)
    other.load_state_dict(pickle.loads(pickle.dumps(stream)).state_dict())
    assert labels(other) == labels(going)


def test_the_buffer_mixes_and_holds_no_more_than_it_may() -> None:
    from random import Random

    found = list(shuffled(1000, 100, Random(0)))
    assert sorted(found) == list(range(1000))
    assert all(number < place + 100 for place, number in enumerate(found))
    assert np.abs(np.array(found) - np.arange(1000)).mean() > 40
