"""Crop boxes and sizes, with numbers worked out by hand."""

from __future__ import annotations

import pytest

from gpu_pack.geometry import CropResize, centre_square, crop_resize, shorter_edge_to
from gpu_pack.types import TransformSpec


@pytest.mark.parametrize(
    ("width", "height", "box"),
    [
        (500, 375, (62, 0, 375, 375)),  # 125 pixels too many: 62 are cut on the left, 63 on the right
        (375, 500, (0, 62, 375, 375)),
        (500, 374, (63, 0, 374, 374)),
        (301, 300, (0, 0, 300, 300)),  # one too many: it is the last
        (302, 300, (1, 0, 300, 300)),
        (7, 7, (0, 0, 7, 7)),
        (1, 9, (0, 4, 1, 1)),
        (1, 1, (0, 0, 1, 1)),
    ],
)
def test_the_centre_square(width: int, height: int, box: tuple[int, int, int, int]) -> None:
    assert centre_square(width, height) == box


@pytest.mark.parametrize(
    ("width", "height", "size", "result"),
    [
        (500, 375, 224, (298, 224)),  # 500 * 224 / 375 = 298.67, rounded down
        (375, 500, 224, (224, 298)),
        (640, 480, 256, (341, 256)),  # 341.33
        (100, 100, 224, (224, 224)),
        (3, 1000, 1, (1, 333)),
        (1, 1, 5, (5, 5)),
        (500, 375, None, (500, 375)),
    ],
)
def test_the_shorter_edge(width: int, height: int, size: int | None, result: tuple[int, int]) -> None:
    assert shorter_edge_to(width, height, size) == result


def test_small_pictures_are_enlarged_only_if_that_is_wanted() -> None:
    assert shorter_edge_to(120, 90, 224) == (298, 224)
    assert shorter_edge_to(120, 90, 224, upscale=False) == (120, 90)
    assert shorter_edge_to(298, 224, 224, upscale=False) == (298, 224)
    assert shorter_edge_to(300, 225, 224, upscale=False) == (298, 224)


@pytest.mark.parametrize(
    ("spec", "expected", "scales", "shrinks"),
    [
        # The crop comes first: 500 x 375 becomes 375 x 375, then 224 x 224.
        (TransformSpec(size=224), CropResize(62, 0, 375, 375, 224, 224), True, True),
        (TransformSpec(size=224, crop=False), CropResize(0, 0, 500, 375, 298, 224), True, True),
        (TransformSpec(size=400), CropResize(62, 0, 375, 375, 400, 400), True, False),
        (TransformSpec(size=400, upscale=False), CropResize(62, 0, 375, 375, 375, 375), False, False),
        (TransformSpec(size=375), CropResize(62, 0, 375, 375, 375, 375), False, False),
        (TransformSpec(size=None), CropResize(62, 0, 375, 375, 375, 375), False, False),
        (TransformSpec(size=None, crop=False), CropResize(0, 0, 500, 375, 500, 375), False, False),
    ],
)
def test_a_landscape_picture(spec: TransformSpec, expected: CropResize, scales: bool, shrinks: bool) -> None:
    found = crop_resize(500, 375, spec)
    assert found == expected
    assert (found.scales, found.shrinks) == (scales, shrinks)


def test_a_picture_of_one_pixel() -> None:
    assert crop_resize(1, 1, TransformSpec(size=224)) == CropResize(0, 0, 1, 1, 224, 224)
    assert crop_resize(2000, 1, TransformSpec(size=1, crop=False)) == CropResize(0, 0, 2000, 1, 2000, 1)
