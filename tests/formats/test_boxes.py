"""Detection labels: which labels are some, and where boxes are after a crop."""

from __future__ import annotations

import struct

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gpu_pack.formats.boxes import held_labels, is_detection, move_boxes
from gpu_pack.geometry import crop_resize
from gpu_pack.types import TransformSpec

ONE = (0.0, 0.25, 0.25, 0.5, 0.75)
SQUARE = TransformSpec(size=48)


@pytest.mark.parametrize(
    "labels",
    [
        (2, 5, *ONE),
        (2, 5, *ONE, *ONE),
        (4, 5, 100, 60, *ONE),
        (3, 6, 9, *ONE, 1),
        (2, 5, 1, 0, 0, 1, 1),
    ],
)
def test_detection_labels(labels: tuple[float, ...]) -> None:
    assert is_detection(tuple(map(float, labels)))


@pytest.mark.parametrize(
    "labels",
    [
        (2,),
        (2, 5),
        (4, 5, 100, 60),
        (1, 5, *ONE),
        (2, 4, *ONE[:4]),
        (2.5, 5, *ONE),
        (2, 5.5, *ONE),
        (2, 5, *ONE, 1),
        (2, 5, *ONE[:4]),
        (2, 6, *ONE),
        (2, 5, 0, 25, 25, 50, 75),
        (2, 5, 0, -0.1, 0.25, 0.5, 0.75),
        (2, 5, *ONE, 0, 0.1, 0.1, 1.01, 0.2),
        (1e300, 5, *ONE),
        (2, 1e300, *ONE),
        (-2, 5, *ONE),
        (2, -5, *ONE),
        (0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5),
    ],
)
def test_other_labels(labels: tuple[float, ...]) -> None:
    assert not is_detection(tuple(map(float, labels)))


def test_boxes_move_with_the_part_and_are_clipped_to_it() -> None:
    part = crop_resize(100, 60, SQUARE)  # from 20 to 80 of the width
    labels = (2.0, 6.0, 3.0, 0.1, 0.2, 0.5, 0.6, 7.0, 4.0, 0.0, 0.2, 0.3, 0.6, 8.0, 5.0, 0.5, 0.0, 0.9, 1.0, 9.0)
    moved = move_boxes(labels, (100, 60), part)
    assert (moved.objects, moved.dropped) == (2, 1)
    assert moved.labels == pytest.approx((2, 6, 3, 0, 0.2, 0.5, 0.6, 7, 5, 0.5, 0, 1, 1, 9))
    tall = move_boxes((2.0, 5.0, 0.0, 0.2, 0.1, 0.6, 0.5), (60, 100), crop_resize(60, 100, SQUARE))
    assert tall.labels == pytest.approx((2, 5, 0, 0.2, 0, 0.6, 0.5))


@pytest.mark.parametrize(
    ("header", "result"),
    [
        ((4.0, 5.0, 100.0, 60.0), (4, 5, 48, 48)),
        ((4.0, 5.0, 60.0, 100.0), (4, 5, 48, 48)),  # as stored, under an EXIF orientation
        ((5.0, 5.0, 100.0, 60.0, 3.0), (5, 5, 48, 48, 3)),
        ((4.0, 5.0, 1.0, 0.0), (4, 5, 1, 0)),
        ((3.0, 5.0, 100.0), (3, 5, 100)),
    ],
)
def test_a_header_that_states_the_size_gets_the_new_one(header: tuple[float, ...], result: tuple[float, ...]) -> None:
    moved = move_boxes((*header, *ONE), (100, 60), crop_resize(100, 60, SQUARE))
    assert moved.labels[: len(header)] == result


def test_a_plain_resize_leaves_boxes_alone() -> None:
    spec = TransformSpec(size=48, crop=False)
    assert move_boxes((2.0, 5.0, *ONE), (100, 60), crop_resize(100, 60, spec)).labels == (2, 5, *ONE)
    assert move_boxes((4.0, 5.0, 100.0, 60.0, *ONE), (100, 60), crop_resize(100, 60, spec)).labels == (
        4,
        5,
        80,
        48,
        *ONE,
    )
    assert move_boxes((2.0, 5.0, *ONE), (60, 60), crop_resize(60, 60, SQUARE)).labels == (2, 5, *ONE)


_EDGES = st.tuples(st.floats(0, 1, width=32), st.floats(0, 1, width=32)).map(sorted)


@given(xs=_EDGES, ys=_EDGES, width=st.integers(1, 400), height=st.integers(1, 400))
def test_the_same_pixels_are_in_the_box_before_and_after(
    xs: list[float], ys: list[float], width: int, height: int
) -> None:
    labels = (2.0, 5.0, 1.0, xs[0], ys[0], xs[1], ys[1])
    assert is_detection(labels)
    part = crop_resize(width, height, TransformSpec(size=None))
    moved = move_boxes(labels, (width, height), part)
    assume(moved.objects)
    left, top, right, bottom = moved.labels[3:]
    assert is_detection(moved.labels)
    expected_xs = [min(max(value * width, part.x), part.x + part.box_width) for value in xs]
    expected_ys = [min(max(value * height, part.y), part.y + part.box_height) for value in ys]
    assert [part.x + value * part.box_width for value in (left, right)] == pytest.approx(expected_xs, abs=1e-6)
    assert [part.y + value * part.box_height for value in (top, bottom)] == pytest.approx(expected_ys, abs=1e-6)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_labels_of_records_are_told_in_the_fewest_digits(values: list[float]) -> None:
    told = held_labels((), tuple(values))
    assert struct.pack(f"{len(told)}f", *told) == struct.pack(f"{len(values)}f", *values)
    assert held_labels(told, tuple(values)) is told


def test_short_numbers_stay_short() -> None:
    (third, fifth) = struct.unpack("2f", struct.pack("2f", 1 / 3, 0.2))
    assert held_labels((), (third, fifth, 1.0)) == (0.33333334, 0.2, 1.0)
