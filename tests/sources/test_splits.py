"""Splits and shards: nothing lost, every label its share, and the same seed the same order."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_pack.errors import UsageError
from gpu_pack.sources.splits import Division, divide, parse_split

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
    for (_, fraction), shard in zip(asked.splits, shards, strict=True):
        assert abs(len(shard.rows) - fraction * len(labels)) < 1


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
    for (_, fraction), shard in zip(asked.splits, shards, strict=True):
        got = Counter(labels[row] for row in shard.rows)
        for label, count in Counter(labels).items():
            assert abs(got[label] - fraction * count) < 1


def test_many_small_classes_still_fill_the_validation_split() -> None:
    train, val = divide([(float(label),) for label in range(1000)], division(("0.9", "0.1")))
    assert (len(train.rows), len(val.rows)) == (900, 100)


def test_the_seed_decides_the_order_and_no_shuffle_keeps_it() -> None:
    labels = [(float(row % 3),) for row in range(60)]
    first, again, other = (divide(labels, division(("1",), seed=seed))[0].rows for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert list(divide(labels, division(("1",), shuffle=False))[0].rows) == list(range(60))


def test_the_order_of_seed_100_is_the_same_in_every_version() -> None:
    rows = divide([(float(row % 2),) for row in range(10)], Division())[0].rows
    assert list(rows) == GOLDEN


GOLDEN = [3, 5, 7, 8, 0, 1, 2, 4, 9, 6]


@settings(max_examples=40)
@given(st.integers(1, 9), st.integers(9, 50))
def test_shards_are_consecutive_and_even(shards: int, count: int) -> None:
    found = divide([(0.0,)] * count, division(("1",), shards=shards, shuffle=False))
    assert [row for shard in found for row in shard.rows] == list(range(count))
    sizes = [len(shard.rows) for shard in found]
    assert max(sizes) - min(sizes) <= 1
    assert found[0].name == ("s0" if shards == 1 else f"s0-00000-of-{shards:05d}")


def test_a_split_name_with_a_fraction() -> None:
    assert parse_split("val=0.1") == ("val", Fraction(1, 10))
    assert parse_split("val=1/3") == ("val", Fraction(1, 3))


@pytest.mark.parametrize("text", ["val", "val=", "val=x", "=0.5=", "val=1/0", "val=nan"])
def test_what_is_no_split_says_how_to_write_one(text: str) -> None:
    with pytest.raises(UsageError, match="NAME=FRACTION"):
        parse_split(text)


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
    with pytest.raises(UsageError, match="fewer than --shards 4"):
        divide([(0.0,)] * 3, division(("1",), shards=4))
