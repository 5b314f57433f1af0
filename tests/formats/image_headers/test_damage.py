"""Files cut short or damaged: `check_complete` and `check_scan` notice, and no bytes whatever confuse them."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_pack.formats import image_headers
from gpu_pack.formats.image_headers import Header, ImageError, check_complete, read_header
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
    """What is wrong with a file, or None; only `ImageError` is caught. In a buffer among other bytes it is the same."""
    assert answer(lambda: image_headers.examine(data, 10_000)) == answer(
        lambda: image_headers.examine_in_place(memoryview(b"\xff\xd9" + data + b"\xff\xd9")[2:-2], 10_000)
    )
    try:
        header = read_header(data)
        check_complete(data, header)
        check_scan(data, header)
    except ImageError as error:
        return error.reason
    return None


def answer(ask: Callable[[], Header]) -> Header | str:
    try:
        return ask()
    except ImageError as error:
        return f"{error.stage}: {error.reason}"


@pytest.mark.parametrize("kind", FILES)
def test_whole_files_pass(kind: str) -> None:
    assert examine(FILES[kind]) is None
    assert examine(FILES[kind] + b"\0" * 1000) is None  # padding behind the end does no harm


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


@pytest.mark.parametrize(
    "look", [image_headers.examine, lambda data, most: image_headers.examine_in_place(memoryview(data), most)]
)
def test_pictures_larger_than_allowed(look: Callable[[bytes, int], Header]) -> None:
    assert look(FILES["jpeg, thumbnail"], 40 * 30).upright_size == (30, 40)
    with pytest.raises(ImageError, match="it holds 30 x 40 pixels, more than the 1199 allowed"):
        look(FILES["jpeg, thumbnail"], 40 * 30 - 1)


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


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + b"\xff\xe0\x00\x02" * 500_000,
        b"\xff\xd8\xff" + b"\x00\xff" * 1_000_000,
        b"\xff\xd8" + b"\xff\xd0" * 1_000_000,
        b"II*\0\x08\0\0\0\xff\xff" + bytes(2_000_000),
        b"II*\0\x08\0\0\0\x01\0\x11\x01\x04\0\xff\xff\xff\xff\x08\0\0\0" + bytes(2_000_000),
        b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x08" + bytes(2_000_000),
        b"\x89PNG\r\n\x1a\n" + bytes(2_000_000),
    ],
    ids=["segments", "stuffing", "restarts", "tiff fields", "tiff strips", "webp chunks", "png chunks"],
)
def test_lying_lengths_cost_no_time(data: bytes) -> None:
    start = time.process_time()
    assert examine(data)
    assert time.process_time() - start < 2  # linear in the size; minutes where it is not
