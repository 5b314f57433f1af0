"""Files cut short or damaged: `check_complete` and `check_scan` notice, and no bytes whatever confuse them."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_pack.formats import image_headers
from gpu_pack.formats.image_headers import ImageError, check_complete, read_header
from gpu_pack.formats.image_headers.scan import check_scan
from tests import pictures
from tests.pictures import jpeg, photo

PIXELS = photo(40, 30)
THUMBNAIL = pictures.segment(0xE1, b"Exif\0\0" + pictures.exif(6) + jpeg(photo(16, 12)))
FILES = {
    "jpeg": jpeg(PIXELS),
    "jpeg, progressive": pictures.progressive(PIXELS),
    "jpeg, restarts": jpeg(PIXELS, 95, None, cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
    "jpeg, thumbnail": jpeg(PIXELS)[:2] + THUMBNAIL + jpeg(PIXELS)[2:],
    "jpeg, cmyk": pictures.cmyk_jpeg(np.full((16, 16, 4), 90, np.uint8)),
    "png": pictures.png(PIXELS),
    "png, palette": pictures.palette_png(np.zeros((9, 9), np.uint8), [(1, 2, 3)]),
    "png, exif": pictures.png_with_exif(pictures.png(PIXELS), pictures.exif(6)),
    "webp": pictures.webp(PIXELS),
    "webp, lossless": pictures.webp(PIXELS, 101),
    "bmp": pictures.bmp(PIXELS),
    "tiff": pictures.tiff(PIXELS),
    "tiff, 16 bit": pictures.tiff(PIXELS.astype(np.uint16)),
}


def examine(data: bytes) -> str | None:
    """What is wrong with a file, or None; only `ImageError` is caught."""
    try:
        header = read_header(data)
        check_complete(data, header)
        check_scan(data, header)
    except ImageError as error:
        return error.reason
    return None


@pytest.mark.parametrize("kind", FILES)
def test_whole_files_pass(kind: str) -> None:
    assert examine(FILES[kind]) is None
    assert examine(FILES[kind] + b"\0" * 1000) is None  # padding after the end does no harm


@pytest.mark.parametrize("kind", FILES)
def test_every_truncation_is_noticed(kind: str) -> None:
    data = FILES[kind]
    slack = 3 if kind == "bmp" else 0  # the padding of a BMP's last row holds no pixel
    unnoticed = [size for size in range(len(data) - slack) if examine(data[:size]) is None]
    # OpenCV writes a TIFF's directory before its last bytes: a cut may leave all of the picture there.
    assert all(_shows_the_same(data[:size], data) for size in unnoticed), unnoticed
    assert len(unnoticed) <= (8 if kind.startswith("tiff") else 0)


def _shows_the_same(part: bytes, whole: bytes) -> bool:
    one, other = (cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in (part, whole))
    return one is not None and np.array_equal(one, other)


def test_a_thumbnails_end_is_not_the_pictures() -> None:
    data = FILES["jpeg, thumbnail"]
    after_thumbnail = data.index(b"\xff\xd9") + 2
    assert "cut short" in (examine(data[:after_thumbnail]) or "")
    in_the_scan = data[: len(data) * 9 // 10]
    assert b"\xff\xd9" in in_the_scan
    assert "cut short" in (examine(in_the_scan) or "")


@pytest.mark.parametrize("part", ["IHDR", "IDAT"])
def test_png_checksums(part: str) -> None:
    data = bytearray(FILES["png"])
    data[data.index(part.encode()) + 9] ^= 4
    assert f"checksum of the {part}" in (examine(bytes(data)) or "")


def test_damage_in_ancillary_png_chunks_costs_nothing() -> None:
    data = FILES["png"]
    broken = data[:33] + struct.pack(">I", 4) + b"tEXt" + b"abcd" + b"\0\0\0\0" + data[33:]
    assert examine(broken) is None


@pytest.mark.parametrize("kind", [kind for kind in FILES if kind.startswith("jpeg")])
def test_noise_in_a_jpegs_scan_is_noticed(kind: str) -> None:
    data = FILES[kind]
    start = read_header(data).body + 20
    for seed in range(20):
        noise = np.random.default_rng(seed).integers(0, 256, 300, np.uint8).tobytes() + b"\xff\x11"
        assert examine(data[:start] + noise + data[start:])


def test_restart_markers_out_of_order_are_noticed() -> None:
    data = FILES["jpeg, restarts"]
    assert "restart" in (examine(data.replace(b"\xff\xd1", b"\xff\xd5")) or "")


def test_pictures_larger_than_allowed() -> None:
    assert image_headers.examine(FILES["jpeg, thumbnail"], 40 * 30).upright_size == (30, 40)
    with pytest.raises(ImageError, match="it holds 30 x 40 pixels, more than the 1199 allowed"):
        image_headers.examine(FILES["jpeg, thumbnail"], 40 * 30 - 1)


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from(sorted(FILES)), st.integers(0, 200))
def test_any_bytes_give_an_answer_or_the_one_error(junk: bytes, kind: str, keep: int) -> None:
    reason = examine(FILES[kind][:keep] + junk)
    assert reason is None or (reason and "\n" not in reason)


@settings(deadline=None)
@given(st.sampled_from(sorted(FILES)), st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 255)), max_size=8))
def test_changed_bytes_give_an_answer_or_the_one_error(kind: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(FILES[kind])
    for place, value in changes:
        data[place % len(data)] = value
    reason = examine(bytes(data))
    assert reason is None or (reason and "\n" not in reason)


class CountingBytes(bytes):
    """Counts the bytes that are searched or copied."""

    touched = 0

    def find(self, *args: Any) -> int:  # type: ignore[override]
        found = super().find(*args)
        start = args[1] if len(args) > 1 else 0
        self.touched += (found if found >= 0 else len(self)) - start
        return found

    def __getitem__(self, place: Any) -> Any:
        value = super().__getitem__(place)
        self.touched += len(value) if isinstance(place, slice) else 1
        return value


def lines_run(call: Callable[[], object]) -> int:
    """How many lines of Python a call executes."""
    count = 0

    def trace(_frame: object, event: str, _arg: object) -> Callable[..., Any]:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


REPETITIONS = 30_000


@pytest.mark.parametrize(
    "start, repeated",
    [
        (b"\xff\xd8", b"\xff\xe0\x00\x02"),
        (b"\xff\xd8\xff", b"\x00\xff"),
        (b"\xff\xd8", b"\xff\xd0"),
        (b"II*\0\x08\0\0\0\xff\xff", b"\0" * 28),  # 65,535 fields fit in
        (b"II*\0\x08\0\0\0\x01\0\x11\x01\x04\0\xff\xff\xff\xff\x08\0\0\0", b"\0"),
        (b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x08", b"\0"),
        (b"\x89PNG\r\n\x1a\n", b"\0"),
    ],
    ids=["segments", "stuffing", "restarts", "tiff fields", "tiff strips", "webp chunks", "png chunks"],
)
def test_lying_lengths_cost_time_linear_in_the_size(start: bytes, repeated: bytes) -> None:
    data = CountingBytes(start + repeated * REPETITIONS)
    reasons: list[str | None] = []
    assert lines_run(lambda: reasons.append(examine(data))) < 10 * REPETITIONS
    assert data.touched < 2 * len(data)
    assert reasons[0]


def test_a_file_of_nothing_but_segments_is_given_up() -> None:
    assert "more than 65536 segments" in (examine(b"\xff\xd8" + b"\xff\xe0\x00\x02" * 70_000) or "")
