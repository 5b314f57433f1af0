"""Splits and shards: nothing lost, every label its share, and the same seed the same order."""

from __future__ import annotations

from array import array
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_pack.errors import UsageError
from gpu_pack.formats.notices import Notice
from gpu_pack.sources.columns import Column
from gpu_pack.sources.missing_classes import missing_classes
from gpu_pack.sources.splits import Division, OwnSplits, divide, is_split_source, split_pair

LABELS = st.lists(st.integers(0, 5).map(lambda label: (float(label),)), min_size=12, max_size=120)
FRACTIONS = st.sampled_from(
    [("0.8", "0.2"), ("0.75", "0.25"), ("0.7", "0.2", "0.1"), ("1/3", "1/3", "1/3"), ("0.5", "0.25"), ("1",)]
)


def division(fractions: tuple[str, ...], **options: object) -> Division:
    splits = tuple((f"s{number}", Fraction(text)) for number, text in enumerate(fractions))
    return Division(splits, **options)  # type: ignore[arg-type]


@settings(max_examples=40)
@given(LABELS, FRACTIONS, st.booleans(), st.booleans(), st.integers(0, 2**32 - 1))
def test_every_image_lands_in_exactly_one_split(
    labels: list[tuple[float, ...]], fractions: tuple[str, ...], shuffle: bool, stratify: bool, seed: int
) -> None:
    asked = division(fractions, shuffle=shuffle, stratify=stratify, seed=seed)
    try:
        shards = divide(labels, asked)
    except UsageError as error:  # so few images that a split would be empty
        assert "would get no image" in str(error)
        return
    rows = [row for shard in shards for row in shard.rows]
    assert len(rows) == len(set(rows))
    if sum(map(Fraction, fractions)) == 1:
        assert sorted(rows) == list(range(len(labels)))
    few = rows_of_few(labels, asked)
    for (_, fraction), shard in zip(asked.splits, shards, strict=True):
        assert abs(len(shard.rows) - fraction * len(labels)) < 1 + len(few)
    if stratify:
        assert few <= set(shards[0].rows), "whole in the first split"


def rows_of_few(labels: list[tuple[float, ...]], asked: Division) -> set[int]:
    """The rows of classes with fewer images than splits; there are no classes where most labels differ."""
    counts = Counter(labels)
    classes = 2 * len(counts) < len(labels)
    return {row for row, label in enumerate(labels) if classes and counts[label] < len(asked.splits)}


@settings(max_examples=40)
@given(LABELS, FRACTIONS, st.integers(0, 99))
def test_every_split_holds_its_share_of_each_label(
    labels: list[tuple[float, ...]], fractions: tuple[str, ...], seed: int
) -> None:
    """Rounded down or up."""
    asked = division(fractions, seed=seed)
    try:
        shards = divide(labels, asked)
    except UsageError:
        return
    few = {labels[row] for row in rows_of_few(labels, asked)}
    for (_, fraction), shard in zip(asked.splits, shards, strict=True):
        got = Counter(labels[row] for row in shard.rows)
        for label, count in Counter(label for label in labels if label not in few).items():
            assert abs(got[label] - fraction * count) < 1


def test_many_measurements_still_fill_the_validation_split() -> None:
    train, val = divide([(float(label),) for label in range(1000)], division(("0.9", "0.1")))
    assert (len(train.rows), len(val.rows)) == (900, 100)


def test_classes_too_small_for_every_split_go_to_the_first() -> None:
    labels = [(float(label),) for label, count in enumerate((40, 1, 40, 2, 1)) for _ in range(count)]
    shards = divide(labels, division(("0.5", "0.25", "0.25")))
    assert [Counter(labels[row][0] for row in shard.rows) for shard in shards] == [
        {0: 20, 1: 1, 2: 20, 3: 2, 4: 1},
        {0: 10, 2: 10},
        {0: 10, 2: 10},
    ]
    found = missing_classes(labels, shards, classes=False)
    assert found == Notice("classes-missing", 3, "3 from s1, 3 from s2")
    assert "missing are 3 from s1, 3 from s2" in found.message


def test_measurements_are_divided_as_one_would() -> None:
    for labels in ([(row + 0.5,) for row in range(40)] * 3, [(float(row),) for row in range(100)]):
        shards = divide(labels, division(("0.9", "0.1")))
        assert [len(shard.rows) for shard in shards] == [len(labels) * 9 // 10, len(labels) // 10]
        assert missing_classes(labels, shards, classes=False) is None


def test_every_folder_is_a_class_however_few_images_there_are() -> None:
    labels = [(0.0,)] * 3 + [(1.0,)] * 3 + [(2.0,)]
    halves = divide(labels, division(("0.5", "0.5")), classes=True)
    assert [row for row in halves[0].rows if row == 6] == [6]
    assert missing_classes(labels, halves, classes=True) == Notice("classes-missing", 1, "1 from s1")
    assert missing_classes(labels, divide(labels, division(("1",)), classes=True), classes=True) is None


def test_a_source_that_is_divided_keeps_its_splits() -> None:
    own = OwnSplits(("a", "b"), Column("H", array("H", [0, 0, 0, 1, 1, 0, 1, 1]).tobytes()))
    labels = [(0.0,)] * 8
    kept = divide(labels, Division(shuffle=False, shards=2), own)
    assert [(shard.split, shard.name, list(shard.rows)) for shard in kept] == [
        ("a", "a-00000-of-00002", [0, 1]),
        ("a", "a-00001-of-00002", [2, 5]),
        ("b", "b-00000-of-00002", [3, 4]),
        ("b", "b-00001-of-00002", [6, 7]),
    ]
    first, again, other = (divide(labels, Division(seed=seed), own) for seed in (1, 1, 3))
    assert first == again != other
    assert [sorted(shard.rows) for shard in first] == [[0, 1, 2, 5], [3, 4, 6, 7]]


def test_the_rows_of_three_splits_are_the_same_in_every_version() -> None:
    labels = [(float(row * row % 5),) for row in range(24)]
    shards = divide(labels, Division({"a": "0.5", "b": "0.3", "c": "0.2"}))  # type: ignore[arg-type]
    assert [list(shard.rows) for shard in shards] == THREE


def test_the_seed_decides_the_order_and_no_shuffle_keeps_it() -> None:
    labels = [(float(row % 3),) for row in range(60)]
    first, again, other = (divide(labels, division(("1",), seed=seed))[0].rows for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert list(divide(labels, division(("1",), shuffle=False))[0].rows) == list(range(60))


def test_the_order_of_seed_100_is_the_same_in_every_version() -> None:
    rows = divide([(float(row % 2),) for row in range(10)], Division())[0].rows
    assert list(rows) == GOLDEN


THREE = [
    [17, 7, 3, 5, 1, 9, 10, 13, 4, 15, 21, 23],
    [20, 19, 8, 12, 16, 18, 14],
    [2, 6, 11, 0, 22],
]
GOLDEN = [3, 5, 7, 8, 0, 1, 2, 4, 9, 6]


@settings(max_examples=40)
@given(st.integers(1, 9), st.integers(9, 50))
def test_shards_are_consecutive_and_even(shards: int, count: int) -> None:
    found = divide([(0.0,)] * count, division(("1",), shards=shards, shuffle=False))
    assert [row for shard in found for row in shard.rows] == list(range(count))
    sizes = [len(shard.rows) for shard in found]
    assert max(sizes) - min(sizes) <= 1
    assert found[0].name == ("s0" if shards == 1 else f"s0-00000-of-{shards:05d}")


def test_a_split_name_with_a_fraction_or_a_source() -> None:
    assert split_pair("val=0.1") == ("val", "0.1")
    assert split_pair("val = a=b/c.tar") == ("val", "a=b/c.tar")
    with pytest.raises(UsageError, match="NAME=FRACTION"):
        split_pair("val")
    for value in ("photos", "./0.5", "s3://b/0.5", "1/photos", Path("0.5")):
        assert is_split_source(value), value
    for value in ("0.1", "1/3", "1e-3", ".5", "nan", "-1", "", "1/0", 0.5, Fraction(1, 3), None):
        assert not is_split_source(value), value


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"splits": (("a", Fraction(2, 3)), ("b", Fraction(2, 3)))}, "sum to 1.33333, which is over 1"),
        ({"splits": (("a", Fraction(0)),)}, "over 0 and at most 1"),
        ({"splits": (("a", Fraction(1, 2)), ("a", Fraction(1, 2)))}, "named twice"),
        ({"splits": (("é" * 101, Fraction(1)),)}, "at most 200 bytes"),
        ({"splits": (("../up", Fraction(1)),)}, "letters, digits"),
        ({"seed": -1}, r"seed=-1 \(--seed\)"),
        ({"shards": 0}, r"shards=0 \(--shards\)"),
        ({"shards": 1.5}, r"shards=1.5 \(--shards\): a whole number"),
        ({"splits": {"a": "x"}}, "write NAME=FRACTION"),
        ({"splits": {"a": None}}, "write NAME=FRACTION"),
        ({"splits": {1: 0.5}}, r"splits 1 \(--split\): a split's name is"),
        ({"splits": {"": 0.5}}, "a split's name is"),
        ({"splits": "train=0.9"}, r"splits='train=0.9' \(--split\): names with fractions"),
        ({"splits": None}, "names with fractions"),
    ],
)
def test_options_that_cannot_be_right_say_so(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Division(**options)  # type: ignore[arg-type]


def test_fractions_as_people_write_them() -> None:
    """A float is what it looks like: nine tenths and one tenth are a whole."""
    expected = (("train", Fraction(9, 10)), ("val", Fraction(1, 10)))
    assert Division({"train": 0.9, "val": 0.1}).splits == expected  # type: ignore[arg-type]
    assert Division((("train", "9/10"), ("val", 0.1))).splits == expected  # type: ignore[arg-type]
    assert Division({"all": 1}).splits == (("all", Fraction(1)),)  # type: ignore[arg-type]
    train, val = divide([(0.0,)] * 30, Division({"train": 0.9, "val": 0.1}))  # type: ignore[arg-type]
    assert (len(train.rows), len(val.rows)) == (27, 3)


def test_a_split_that_would_be_empty_is_refused() -> None:
    with pytest.raises(UsageError, match="split 's1' would get no image of the 3 listed"):
        divide([(0.0,)] * 3, division(("0.95", "0.05")))
    with pytest.raises(UsageError, match=r"split 's1' would get no image of the 4 listed: .*--no-stratify"):
        divide([(0.0,), (1.0,)] * 2, division(("0.4", "0.3", "0.3")), classes=True)
    with pytest.raises(UsageError, match=r"fewer than shards=4 \(--shards\)"):
        divide([(0.0,)] * 3, division(("1",), shards=4))
