"""Records out of files: MXNet's, our own, torn and damaged ones."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_pack import recordio
from gpu_pack.errors import FormatError
from tests.recordio import cases, oracle
from tests.recordio.strategies import payloads

GOLDENS = Path(__file__).parent / "goldens"


@pytest.mark.parametrize(("name", "records"), [("lengths", cases.LENGTHS), ("magics", cases.MAGICS)])
def test_reads_what_mxnet_wrote(name: str, records: list[bytes]) -> None:
    with (GOLDENS / f"{name}.rec").open("rb") as file:
        found = list(recordio.scan(file))
    index = list(recordio.read_index(GOLDENS / f"{name}.idx"))
    assert [record.payload for record in found] == records
    assert [record.offset for record in found] == [offset for _, offset in index]
    assert found[-1].end == (GOLDENS / f"{name}.rec").stat().st_size


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("images", cases.IMAGES),
        ("split_headers", [(labels, key, b"image") for labels, key in cases.SPLIT_HEADERS]),
    ],
)
def test_headers_of_what_mxnet_wrote(name: str, images: list[tuple[list[float], int, bytes]]) -> None:
    with (GOLDENS / f"{name}.rec").open("rb") as file:
        found = list(recordio.scan_headers(file))
    assert [info.key for info in found] == [key for _, key, _ in images]
    assert [info.labels for info in found] == [pytest.approx(tuple(labels), rel=1e-7) for labels, _, _ in images]
    assert [info.data_size for info in found] == [len(data) for _, _, data in images]
    assert [(info.key, info.offset) for info in found] == list(recordio.read_index(GOLDENS / f"{name}.idx"))


@settings(max_examples=60)
@given(st.lists(payloads, max_size=8))
def test_round_trip(records: list[bytes]) -> None:
    data = b"".join(map(recordio.frame, records))
    found = list(recordio.scan(io.BytesIO(data)))
    assert [record.payload for record in found] == records == oracle.read(data)
    assert [record.length for record in found] == [len(recordio.frame(record)) for record in records]


@settings(max_examples=60)
@given(st.integers(0, 2**64 - 1), st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=9), payloads)
def test_headers_round_trip_wherever_the_record_is_split(key: int, labels: list[float], data: bytes) -> None:
    payload = recordio.pack((0, labels, key, 0), data)
    (info,) = recordio.scan_headers(io.BytesIO(recordio.frame(payload)))
    assert (info.key, info.labels, info.data_size) == (key, tuple(labels), len(data))


def two_records() -> tuple[bytes, int]:
    first = recordio.frame_image(1, [2.0], b"first")
    return first + recordio.frame_image(2, [3.0], cases.MAGIC + b"second"), len(first)


def test_a_scan_may_start_at_any_record() -> None:
    data, second = two_records()
    assert [info.key for info in recordio.scan_headers(io.BytesIO(data), start=second)] == [2]
    assert [record.offset for record in recordio.scan(io.BytesIO(data), start=second)] == [second]


def test_every_torn_tail_leaves_the_whole_records() -> None:
    data, second = two_records()
    for size in range(len(data)):
        torn = io.BytesIO(data[:size])
        whole: list[recordio.HeaderInfo] = []
        if size in (0, second):
            whole.extend(recordio.scan_headers(torn))
        else:
            with pytest.raises(FormatError) as caught:
                whole.extend(recordio.scan_headers(torn, "some.rec"))
            assert caught.value.path == "some.rec"
            assert caught.value.offset is not None and (size < second or caught.value.offset >= second)
        assert [info.key for info in whole] == ([1] if size >= second else [])
        assert not whole or whole[-1].end == second


def part(flag: int, payload: bytes) -> bytes:
    return oracle.MAGIC + oracle.word(flag * 2**29 + len(payload)) + payload + b"\0" * (-len(payload) % 4)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\0" * 64, "magic number"),
        (oracle.MAGIC, "cut short"),
        (oracle.MAGIC + oracle.word(2**29 - 1), "cut short .bytes missing: 536870912"),
        (oracle.MAGIC + oracle.word(5) + b"abcde", "cut short .bytes missing: 3"),
        (part(2, b"abcd"), "flag 2, not 0 or 1"),
        (part(3, b"abcd"), "flag 3, not 0 or 1"),
        (part(4, b"abcd"), "flag 4, not 0 or 1"),
        (part(1, b"abcd"), "cut short"),
        (part(1, b"abcd") + part(0, b"abcd"), "flag 0, not 2 or 3"),
        (part(1, b"abcd") + part(1, b"abcd"), "flag 1, not 2 or 3"),
        (part(1, b"abc") + part(3, b""), "3 bytes before a split"),
        (part(1, b"abcd") + b"\0" * 8, "magic number"),
    ],
)
def test_malformed_files_say_what_and_where(data: bytes, what: str) -> None:
    good = recordio.frame(b"good")
    with pytest.raises(FormatError, match=what) as caught:
        list(recordio.scan(io.BytesIO(good + data), "x.rec"))
    assert str(caught.value).startswith(f"x.rec: at byte {caught.value.offset}: ")
    assert caught.value.offset is not None and caught.value.offset >= len(good)


@pytest.mark.parametrize("payload", [b"", b"x" * 23, b"\xff" * 24, recordio.pack((0, [1, 2], 0, 0), b"")[:-1]])
def test_records_that_are_no_image_records(payload: bytes) -> None:
    with pytest.raises(FormatError, match="no image record"):
        list(recordio.scan_headers(io.BytesIO(recordio.frame(payload))))


def test_headers_tell_where_an_image_lies_in_one_piece() -> None:
    data = (GOLDENS / "images.rec").read_bytes()
    records, infos = list(recordio.scan(io.BytesIO(data))), list(recordio.scan_headers(io.BytesIO(data)))
    for record, info in zip(records, infos, strict=True):
        _, image = recordio.unpack(record.payload)
        aligned = any(record.payload[at : at + 4] == recordio.MAGIC_BYTES for at in range(0, len(record.payload), 4))
        assert (info.data_offset is None) == aligned
        if info.data_offset is not None:
            assert data[info.data_offset : info.data_offset + info.data_size] == image
    assert len({info.data_offset is None for info in infos}) == 2
