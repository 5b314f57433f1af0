"""Batches of RecordDataset: decoded by several threads, and in memory that is used again."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_pack.dataset import RecordDataset, RecordStream, collate
from gpu_pack.dataset.blocks import Blocks
from gpu_pack.errors import FormatError, UsageError
from tests.dataset.test_reading import jpeg, kinds, noise
from tests.tools.foreign_records import write_rec


@pytest.fixture
def rec(tmp_path: Path) -> Path:
    return write_rec(tmp_path / "train.rec", ((key, key, key, jpeg(noise(seed=key))) for key in range(40)))


def same(found: Any, wanted: Any) -> None:
    for (image, label), (wanted_image, wanted_label) in zip(found, wanted, strict=True):
        assert np.array_equal(image, wanted_image) and label == wanted_label


@pytest.mark.parametrize("count", [1, 2, 3, 13, 40])
def test_threads_give_what_one_gives(rec: Path, count: int) -> None:
    order = [7 * place % 40 for place in range(count)]
    dataset = RecordDataset(rec, threads=3)
    for each in (dataset, pickle.loads(pickle.dumps(dataset))):
        items = each.__getitems__(order)
        same(items, map(RecordDataset(rec).__getitem__, order))
        images, labels = collate(items)
        assert all(np.shares_memory(images, image) for image, _ in items) and labels.tolist() == order
    dataset.close()
    assert dataset.__getitems__([5])[0][1] == 5


def test_threads_call_transforms_and_mix_kinds_of_pictures(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", ((key, key, key, data) for key, data in enumerate(kinds().values())))
    plain, threaded = RecordDataset(rec), RecordDataset(rec, threads=4)
    order = range(len(plain))
    same(threaded.__getitems__(order), plain.__getitems__(order))
    threaded.transform = plain.transform = np.sum
    same(threaded.__getitems__(order), map(plain.__getitem__, order))


def test_the_first_bad_record_is_named_by_any_number_of_threads(tmp_path: Path) -> None:
    bad = {9: b"no picture", 30: b"none either"}
    rec = write_rec(tmp_path / "a.rec", ((key, key, key, bad.get(key, jpeg(noise()))) for key in range(40)))
    for threads in (1, 2, 5):
        dataset = RecordDataset(rec, threads=threads)
        with pytest.raises(FormatError, match="record 9: OpenCV cannot decode"):
            dataset.__getitems__(range(40))
        assert dataset.__getitems__([8])[0][1] == 8
    with pytest.raises(UsageError, match="threads=0"):
        RecordDataset(rec, threads=0)


def test_the_fast_dct_differs_a_little(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", ((key, key, key, data) for key, data in enumerate(kinds().values())))
    exact, fast = RecordDataset(rec), RecordDataset(rec, fast_dct=True)
    same(fast.__getitems__(range(len(fast))), fast)
    same(RecordStream(rec, fast_dct=True), fast)
    differences = [np.abs(a.astype(int) - b) for (a, _), (b, _) in zip(exact, fast, strict=True)]
    assert any(each.any() for each in differences) and max(each.mean() for each in differences) < 2


def address(array: Any) -> Any:
    return array.__array_interface__["data"][0]


def test_memory_is_used_again_when_nobody_sees_it(rec: Path) -> None:
    dataset = RecordDataset(rec)
    images, _ = collate(dataset.__getitems__(range(10)))
    assert images.flags.writeable and images.dtype == np.uint8
    row, kept = images[3], images[3].copy()
    first = address(images)
    del images
    other, _ = collate(dataset.__getitems__(range(10, 20)))
    assert not np.shares_memory(other, row) and np.array_equal(row, kept)
    del row
    again, _ = collate(dataset.__getitems__(range(20, 30)))
    assert address(again) == first and not np.shares_memory(again, other)
    assert np.array_equal(again[3], dataset[23][0]) and np.array_equal(other[3], dataset[13][0])


def test_blocks_keep_little() -> None:
    blocks = Blocks()
    lent = [blocks.take((4, 8)) for _ in range(5)]
    addresses = {address(array) for array in lent}
    assert len(addresses) == 5
    del lent
    assert len(blocks._free) == 2 and {address(array) for array in blocks._free} <= addresses
    assert blocks.take((32,)).shape == (32,) and len(blocks._free) <= 2
    other = blocks.take((4, 9))
    assert other.nbytes == 36 and not blocks._free
    del blocks
    other[:] = 7
    assert other.sum() == 7 * 36
    large = Blocks()
    del other
    large.take((65 << 20,))
    assert not large._free and large.take((0, 8)).size == 0


def test_a_changed_batch_is_collated_as_it_is(rec: Path) -> None:
    dataset = RecordDataset(rec)
    items = dataset.__getitems__([1, 2, 3])
    assert collate(items)[0] is collate(items)[0] and isinstance(pickle.loads(pickle.dumps(items)), list)
    items.reverse()
    assert collate(items)[1].tolist() == [3, 2, 1]
    same(zip(*collate(items), strict=True), map(dataset.__getitem__, [3, 2, 1]))
    items[1] = dataset[7]
    items.append(dataset[8])
    same(zip(*collate(items), strict=True), map(dataset.__getitem__, [3, 7, 1, 8]))


def test_an_empty_batch(rec: Path) -> None:
    for threads in (1, 3):
        dataset = RecordDataset(rec, threads=threads)
        assert dataset.__getitems__([]) == []
        dataset.decode = False
        assert dataset.__getitems__([]) == []
