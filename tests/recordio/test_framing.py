"""Payloads to bytes: against MXNet's own files, and against an independent oracle."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_pack import recordio
from gpu_pack.errors import FormatError
from tests.recordio import cases, oracle
from tests.recordio.strategies import MAGIC_LABEL, keys, labels, payloads

GOLDENS = Path(__file__).parent / "goldens"


@pytest.mark.parametrize(("name", "records"), [("lengths", cases.LENGTHS), ("magics", cases.MAGICS)])
def test_frames_as_mxnet_writes_them(name: str, records: list[bytes]) -> None:
    assert b"".join(map(recordio.frame, records)) == (GOLDENS / f"{name}.rec").read_bytes()


def test_image_records_as_mxnet_writes_them() -> None:
    framed = b"".join(recordio.frame_image(key, label, data) for label, key, data in cases.IMAGES)
    assert framed == (GOLDENS / "images.rec").read_bytes()


@settings(max_examples=60)
@given(payloads)
def test_frame_agrees_with_the_oracle(payload: bytes) -> None:
    framed = recordio.frame(payload)
    assert framed == oracle.write(payload)
    assert oracle.read(framed) == [payload]


@settings(max_examples=60)
@given(st.integers(0, 3), st.integers(2040, 2060), payloads)
def test_long_payloads_are_searched_the_same_way_with_numpy_and_without(shift: int, length: int, tail: bytes) -> None:
    payload = b"x" * (length + shift) + tail
    assert recordio.frame(payload) == oracle.write(payload)


def test_framing_needs_no_numpy() -> None:
    code = (
        "import sys; from gpu_pack import recordio as r; p = b'a' * 4096 + r.MAGIC_BYTES; f = r.frame(p) + "
        "r.frame_image(1, (2.0,), p); assert 'numpy' not in sys.modules and 'cv2' not in sys.modules; print(len(f))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b"8248"


@settings(max_examples=60)
@given(keys, st.lists(labels, min_size=1, max_size=5), payloads)
def test_frame_image_is_pack_and_frame(key: int, values: list[float], data: bytes) -> None:
    label = values[0] if len(values) == 1 else values
    assert recordio.frame_image(key, values, data) == recordio.frame(recordio.pack((0, label, key, 0), data))


MAGIC_HEADERS = [
    (0xCED7230A, [1.0]),
    (0xCED7230A + 2**32, [1.0]),
    ((0xCED7230A << 32) + 5, [1.0]),
    (3, [MAGIC_LABEL]),
    (3, [1.0, MAGIC_LABEL]),
]


@pytest.mark.parametrize(("key", "values"), MAGIC_HEADERS)
def test_headers_that_dali_would_take_for_damage_are_refused(key: int, values: list[float]) -> None:
    assert recordio.header_carries_magic(key, values)
    with pytest.raises(FormatError, match=f"key {key}.*use another key"):
        recordio.frame_image(key, values, b"data")


@settings(max_examples=60)
@given(keys, st.lists(labels, min_size=1, max_size=3))
def test_other_headers_carry_no_magic(key: int, values: list[float]) -> None:
    assert not recordio.header_carries_magic(key, values)


def test_unaligned_magic_in_a_header_is_fine() -> None:
    key = 0xCED7230A << 8
    assert not recordio.header_carries_magic(key)
    assert oracle.read(recordio.frame_image(key, [1.0], b"x")) == [struct.pack("<IfQQ", 0, 1.0, key, 0) + b"x"]


@pytest.mark.parametrize(
    ("key", "values", "what"),
    [
        (-1, [1.0], "key -1"),
        (2**64, [1.0], "key 18446744073709551616"),
        (1.5, [1.0], "key 1.5"),
        ("7", [1.0], "key 7"),
        (1, ["cat"], "cat"),
        (1, [1e39], "float32"),
        (1, [1.0, 1e39], "float32"),
        (1, [], "at least one label"),
    ],
)
def test_values_that_no_header_holds_are_named(key: int, values: list[float], what: str) -> None:
    with pytest.raises(FormatError, match=what):
        recordio.frame_image(key, values, b"data")


class Huge(bytes):
    """Claims a size that no test should allocate."""

    def __len__(self) -> int:
        return 2**29


def test_records_of_half_a_gibibyte_are_refused() -> None:
    with pytest.raises(FormatError, match="2\\^29"):
        recordio.frame(Huge())
    with pytest.raises(FormatError, match="2\\^29"):
        recordio.frame_image(1, [1.0], Huge())
