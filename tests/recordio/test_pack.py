"""pack, unpack and their image forms: MXNet's behaviour, and one error for what is malformed."""

from __future__ import annotations

import pickle
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gpu_pack import recordio
from gpu_pack.errors import FormatError, UsageError
from tests.recordio import cases

GOLDENS = Path(__file__).parent / "goldens"


def golden(name: str) -> list[bytes]:
    with recordio.MXIndexedRecordIO(GOLDENS / f"{name}.idx", GOLDENS / f"{name}.rec", "r") as file:
        return [file.read_idx(key) for key in file.keys]


def test_packs_as_mxnet_does() -> None:
    packed = [
        recordio.pack(recordio.IRHeader(0, labels[0] if len(labels) == 1 else labels, key, 0), data)
        for labels, key, data in cases.IMAGES
    ]
    assert packed == golden("images")


@pytest.mark.parametrize(("place", "case"), list(enumerate(cases.IMAGES)))
def test_unpacks_what_mxnet_packed(place: int, case: tuple[list[float], int, bytes]) -> None:
    labels, key, data = case
    header, found = recordio.unpack(golden("images")[place])
    assert (header.id, header.id2, found) == (key, 0, data)
    if len(labels) == 1:
        assert header.flag == 0
        assert header.label == np.float32(labels[0])
    else:
        assert header.flag == len(labels)
        assert header.label.dtype == np.float32
        assert header.label.tolist() == np.float32(labels).tolist()


@pytest.mark.parametrize(
    "label",
    [3, 3.0, np.float32(3), np.float64(3), np.int64(3), np.uint8(3), Fraction(3)],
    ids=lambda label: type(label).__name__,
)
def test_a_number_is_the_only_label(label: Any) -> None:
    assert recordio.pack((9, label, 1, 2), b"x") == struct.pack("<IfQQ", 0, 3.0, 1, 2) + b"x"


@pytest.mark.parametrize(
    ("label", "values"),
    [
        ([1, 2], [1, 2]),
        ((1, 2), [1, 2]),
        (np.array([[1, 2], [3, 4]]), [1, 2, 3, 4]),
        (np.arange(6)[::2], [0, 2, 4]),
        (np.array([1, 2], ">f8"), [1, 2]),
        (np.array(3.0), [3]),
        (np.bool_(True), [1]),
        ([], []),
    ],
)
def test_anything_else_is_an_array_of_labels(label: Any, values: list[float]) -> None:
    packed = recordio.pack((9, label, 1, 0), b"x")
    assert packed == struct.pack(f"<IfQQ{len(values)}f", len(values), 0, 1, 0, *values) + b"x"


@pytest.mark.parametrize(("label", "held"), [(1e39, np.inf), (-1e39, -np.inf), (10**400, np.inf), (3.4e38, 3.4e38)])
def test_a_number_too_large_is_infinite_as_in_mxnet(label: float, held: float) -> None:
    assert recordio.unpack(recordio.pack((0, label, 1, 0), b""))[0].label == np.float32(held)


@pytest.mark.parametrize("header", [(0, 1, -1, 0), (0, 1, 2**64, 0), (0, 1, 1, -1), (0, 1, 1.5, 0), (0, 1j, 1, 0)])
def test_headers_that_do_not_fit(header: tuple[int, Any, int, int]) -> None:
    with pytest.raises(FormatError, match="whole numbers from 0"):
        recordio.pack(header, b"x")


@pytest.mark.parametrize(
    "payload",
    [b"", b"x" * 23, struct.pack("<IfQQ", 2, 0, 0, 0) + b"abcdefg", struct.pack("<IfQQ", 2**32 - 1, 0, 0, 0)],
)
def test_payloads_that_are_no_image_records(payload: bytes) -> None:
    with pytest.raises(FormatError, match="no image record"):
        recordio.unpack(payload)


def test_header_shows_and_pickles_as_a_tuple() -> None:
    header = recordio.IRHeader(0, 14.0, 20129312, 0)
    assert repr(header) == "HEADER(flag=0, label=14.0, id=20129312, id2=0)"
    assert pickle.loads(pickle.dumps(header)) == header == (0, 14.0, 20129312, 0)


def test_pictures_that_mxnet_packed() -> None:
    picture = np.array(cases.picture(), np.uint8)
    found = [recordio.unpack_img(record) for record in golden("pictures")]
    assert [header.id for header, _ in found] == [0, 1, 2, 3]
    assert [image.shape for _, image in found] == [(16, 24, 3)] * 3 + [(16, 24)]
    assert (found[2][1] == picture).all()
    assert found[2][0].label.tolist() == [5, 6]
    assert np.abs(found[0][1].astype(int) - picture).mean() < 6
    assert recordio.unpack_img(golden("pictures")[0], iscolor=0)[1].ndim == 2


@pytest.mark.parametrize(
    ("quality", "suffix", "parameters"),
    [
        (95, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]),
        (30, ".JPEG", [cv2.IMWRITE_JPEG_QUALITY, 30]),
        (9, ".png", [cv2.IMWRITE_PNG_COMPRESSION, 9]),
        (95, ".bmp", []),
    ],
)
def test_pack_img_encodes_as_opencv_does(quality: int, suffix: str, parameters: list[int]) -> None:
    picture = np.array(cases.picture(), np.uint8)
    packed = recordio.pack_img((0, 3, 7, 0), picture, quality=quality, img_fmt=suffix)
    assert packed == recordio.pack((0, 3, 7, 0), cv2.imencode(suffix, picture, parameters)[1].tobytes())


def test_pack_img_refuses_what_opencv_cannot_encode() -> None:
    with pytest.raises(UsageError, match="\\.xyz"):
        recordio.pack_img((0, 3, 7, 0), np.zeros((4, 4, 3), np.uint8), img_fmt=".xyz")
    with pytest.raises(UsageError, match="\\.jpg"):
        recordio.pack_img((0, 3, 7, 0), np.zeros((0, 0, 3), np.uint8))


def test_unpack_img_of_no_image() -> None:
    assert recordio.unpack_img(recordio.pack((0, 3, 7, 0), b"not an image"))[1] is None
    with pytest.raises(FormatError, match="record 7"):
        recordio.unpack_img(recordio.pack((0, 3, 7, 0), b""))
