"""Whatever the bytes are: they are accepted, or the one documented error comes, and nothing else."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_pack import recordio
from gpu_pack.errors import FormatError, ListError
from gpu_pack.formats import lst
from tests.recordio import cases

SMALL = b"".join(
    [
        recordio.frame_image(1, [2.0], b"image"),
        recordio.frame(recordio.pack((0, [1.0, 2.0], 2, 0), cases.MAGIC + b"split" + b"123" + cases.MAGIC)),
        recordio.frame_image(3, [4.0], b""),
    ]
)
SMALL_INDEX = b"1\t0\n2\t40\n30\t112\n"
SMALL_LIST = "1\t2\ta.jpg\n2\t0.5\t1\tü/b.jpg\n".encode()

pieces = st.sampled_from([cases.MAGIC, b"\0\0\0\0", b"\x04\0\0\0", b"\x18\0\0\x20", b"\x08\0\0\x60", b"\x20\0\0\0"])
recordlike = st.lists(st.one_of(pieces, st.binary(max_size=9)), max_size=20).map(b"".join)
linelike = st.lists(
    st.one_of(st.sampled_from([b"\t", b"\n", b"\r", b"0", b"17", b"1e5", b"-", b"a.jpg", b"\xff", b" "]), st.binary()),
    max_size=20,
).map(b"".join)


def damaged(data: bytes) -> Iterator[bytes]:
    """Every truncation, and for each byte every flipped bit, zero and 255."""
    yield from (data[:size] for size in range(len(data)))
    for place, byte in enumerate(data):
        for other in {byte ^ 1 << bit for bit in range(8)} | {0, 255} - {byte}:
            yield data[:place] + bytes([other]) + data[place + 1 :]


def scan_everything(data: bytes) -> None:
    """Both scanners, as far as they come; they agree on where records lie."""
    ends: list[list[int]] = [[], []]
    for found, scanner in zip(ends, (recordio.scan, recordio.scan_headers), strict=True):
        try:
            for record in scanner(io.BytesIO(data), "x.rec"):
                found.append(record.end)
        except FormatError as error:
            assert error.path == "x.rec"
            assert error.offset is not None and 0 <= error.offset <= len(data)
    records, headers = ends
    assert headers == records[: len(headers)]  # the scanner of headers stops earlier, at what is no image record
    assert all(end % 4 == 0 and end <= len(data) for end in records)


def test_every_damage_to_a_small_file() -> None:
    for data in damaged(SMALL):
        scan_everything(data)


@settings(max_examples=60)
@given(recordlike)
def test_anything_like_records(data: bytes) -> None:
    scan_everything(data)


@settings(max_examples=60)
@given(recordlike)
def test_anything_between_whole_records(data: bytes) -> None:
    scan_everything(SMALL + data + SMALL)


@settings(max_examples=60)
@given(st.one_of(recordlike, st.binary(min_size=20, max_size=60)))
def test_any_payload_unpacks_or_is_refused(payload: bytes) -> None:
    try:
        header, data = recordio.unpack(payload)
    except FormatError:
        return
    if header.flag:
        assert len(payload) == 24 + 4 * len(header.label) + len(data)
    assert payload.endswith(data)


@settings(max_examples=60)
@given(recordlike)
def test_any_payload_is_a_picture_or_none_or_refused(data: bytes) -> None:
    try:
        header, _ = recordio.unpack_img(recordio.pack((0, 1.0, 2, 0), data))
    except FormatError:
        return
    assert header.id == 2


def read_records(folder: Path, index: bytes, data: bytes) -> None:
    (folder / "x.idx").write_bytes(index)
    (folder / "x.rec").write_bytes(data)
    try:
        reader = recordio.MXIndexedRecordIO(folder / "x.idx", folder / "x.rec", "r")
    except FormatError as error:
        assert error.path == str(folder / "x.idx")
        return
    with reader:
        for key in reader.keys:
            try:
                reader.read_idx(key)
            except FormatError as error:
                assert error.path == str(folder / "x.rec")


def test_every_damage_to_an_index(tmp_path: Path) -> None:
    for index in damaged(SMALL_INDEX):
        read_records(tmp_path, index, SMALL)


@settings(max_examples=40)
@given(linelike, recordlike)
def test_any_index_on_any_file(tmp_path_factory: pytest.TempPathFactory, index: bytes, data: bytes) -> None:
    read_records(tmp_path_factory.getbasetemp(), index, SMALL + data)


def read_list(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        for entry in lst.read_list(path, unique=True):
            assert 0 <= entry.key < 2**64
            assert recordio.frame_image(entry.key, entry.labels, b"any entry can be packed")
            assert lst.unlistable_reason(entry.path) is None
    except ListError as error:
        assert str(error).startswith(f"{path}:")
        str(error).encode()
    said: list[str] = []
    kept = sum(1 for _ in lst.read_list_im2rec(path, said.append))
    with path.open(encoding="utf-8", errors="surrogateescape") as file:
        assert kept + len(said) == sum(1 for _ in file)


def test_every_damage_to_a_list(tmp_path: Path) -> None:
    for data in itertools.islice(damaged(SMALL_LIST), 0, None, 2):
        read_list(tmp_path / "x.lst", data)


@settings(max_examples=40)
@given(linelike)
def test_anything_like_a_list(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    read_list(tmp_path_factory.getbasetemp() / "x.lst", data)
