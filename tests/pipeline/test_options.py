"""Keyword arguments into options: what the command line and Python callers share."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from gpu_pack.backends import DeviceOptions
from gpu_pack.errors import UsageError
from gpu_pack.pipeline.options import CreateOptions, create_options
from gpu_pack.types import TransformSpec


def test_nothing_given_is_the_default() -> None:
    assert create_options() == CreateOptions()
    assert create_options(size=None, splits=None, device=None, strict=None) == CreateOptions()


def test_what_is_given_replaces_what_the_base_has() -> None:
    base = create_options(size=64, seed=7, device="cpu", root="photos", strict=True)
    assert (base.spec.size, base.division.seed, base.device.device, base.strict) == (64, 7, "cpu", True)
    assert base.source.root == "photos"
    assert create_options(base, layout="splits").source == replace(base.source, layout="splits")
    changed = create_options(base, quality=80, strict=False)
    assert (changed.spec.size, changed.spec.quality, changed.division.seed, changed.strict) == (64, 80, 7, False)


def test_resize_does_not_crop() -> None:
    spec = create_options(resize=100, interp="linear").spec
    assert (spec.size, spec.crop, spec.interp) == (100, False, "linear")


def test_each_encoding_has_its_own_default_quality() -> None:
    png = create_options(encoding="png")
    assert png.spec.quality == 3
    assert create_options(encoding="png", quality=9).spec.quality == 9
    assert create_options(png, encoding="jpg").spec == TransformSpec()
    assert create_options(png, size=64).spec.quality == 3


@pytest.mark.parametrize(
    "splits",
    [
        {"train": 0.9, "val": 0.1},
        [("train", 0.9), ("val", "1/10")],
        ["train=0.9", "val=0.1"],
        {"train": Fraction(9, 10), "val": "0.1"},
    ],
)
def test_splits_in_every_form_are_exact(splits: Any) -> None:
    expected = (("train", Fraction(9, 10)), ("val", Fraction(1, 10)))
    assert create_options(splits=splits).division.splits == expected


@pytest.mark.parametrize(("gpus", "numbers"), [("0,1", (0, 1)), (2, (2,)), ([0, 3], (0, 3)), (" 1 ", (1,))])
def test_gpus_in_every_form(gpus: Any, numbers: tuple[int, ...]) -> None:
    assert create_options(gpus=gpus).device.gpus == numbers


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"size": 3, "resize": 4}, r"size=3 \(--size\) and resize=4 \(--resize\) both set the shorter edge"),
        ({"resize": 4, "crop": True}, r"resize=4 \(--resize\) does not crop"),
        ({"resize": 0}, r"resize=0 \(--resize\): the shorter edge is a whole number from 1"),
        ({"resize": 2.5}, r"resize=2.5 \(--resize\)"),
        ({"pass_through": True, "size": 3, "crop": False}, r"size=3 \(--size\) and crop=False \(--no-crop\) would"),
        ({"gpus": "a"}, r"gpus=a \(--gpus\): give GPU numbers"),
        ({"splits": {"train": "x", "val": 0.5}}, "give every split a fraction, or every split a source"),
        ({"splits": "train"}, "NAME=FRACTION"),
        ({"encoding": "gif"}, "encoding"),
    ],
)  # fmt: skip
def test_what_cannot_be_right(keywords: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        create_options(**keywords)


def test_a_base_that_passes_through_refuses_pixels() -> None:
    with pytest.raises(UsageError, match="files are stored as they are"):
        create_options(create_options(pass_through=True), size=3)
    assert create_options(create_options(pass_through=True), max_pixels=9).spec.max_pixels == 9


def test_an_unknown_name_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="no option 'sise'"):
        create_options(sise=3)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"device": "tpu"}, r"device=tpu \(--device\): choose auto, gpu, cpu or hybrid"),
        ({"encoder": "jpeg"}, r"encoder=jpeg \(--encoder\)"),
        ({"workers": 0}, r"workers=0 \(--workers\)"),
        ({"batch_size": 5000}, r"batch_size=5000 \(--batch-size\)"),
        ({"workers": 2.5}, r"workers=2.5 \(--workers\): a whole number"),
        ({"batch_size": "4"}, r"batch_size=4 \(--batch-size\): a whole number"),
        ({"gpus": (1, 1)}, "gpus"),
        ({"gpus": (0.5,)}, "gpus"),
        ({"gpus": (0,), "device": "cpu"}, "gpus"),
    ],
)
def test_devices_that_cannot_be_right(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        DeviceOptions(**values)
