"""What `read_header` says about files, held against what OpenCV decodes."""

from __future__ import annotations

import struct
import subprocess
import sys

import cv2
import numpy as np
import pytest

from gpu_pack.formats.image_headers import ImageError, check_complete, read_header, sniff
from tests import pictures
from tests.contract import decoded
from tests.pictures import jpeg, photo

KINDS = {
    "jpeg": jpeg,
    "png": pictures.png,
    "webp": pictures.webp,
    "webp, lossless": lambda pixels: pictures.webp(pixels, 101),
    "bmp": pictures.bmp,
    "tiff": pictures.tiff,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width, height", [(1, 1), (17, 5), (64, 300)])
def test_format_and_size(kind: str, width: int, height: int) -> None:
    data = KINDS[kind](photo(width, height))
    header = read_header(data)
    assert (header.format, header.width, header.height) == (kind.split(",")[0], width, height)
    assert (header.components, header.precision, header.orientation) == (3, 8, 1)
    check_complete(data, header)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_is_what_opencv_applies(orientation: int, order: str) -> None:
    pixels = pictures.quadrants(48, 32)
    block = pictures.exif(orientation, order)
    for data in (pictures.with_exif(jpeg(pixels), block), pictures.png_with_exif(pictures.png(pixels), block)):
        header = read_header(data)
        assert header.orientation == orientation
        shown = decoded(data)
        assert header.upright_size == (shown.shape[1], shown.shape[0])
        assert np.abs(shown[2, 2].astype(int) - pictures.upright(pixels, orientation)[2, 2]).max() < 5


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_orientations_that_do_not_exist_are_ignored(value: int) -> None:
    data = jpeg(photo(30, 20), 90, value)
    assert read_header(data).orientation == 1
    assert decoded(data).shape[:2] == (20, 30)


def test_exif_that_points_outside_is_ignored() -> None:
    block = bytearray(pictures.exif(6))
    block[4:8] = (1 << 20).to_bytes(4, "little")
    assert read_header(pictures.with_exif(jpeg(photo(30, 20)), bytes(block))).orientation == 1


def _exif(value: int, order: bytes = b"II", tag: int = 0x0112, mark: int = 42, start: int = 8) -> bytes:
    """An EXIF segment with one tag."""
    end = "<" if order == b"II" else ">"
    tiff = order + struct.pack(end + "HIHHHIHHI", mark, start, 1, tag, 3, 1, value, 0, 0)
    return _segment(b"Exif\0\0" + tiff)


def _segment(payload: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload


@pytest.mark.skipif(cv2.__version__ < "5", reason="OpenCV 4 reads the first APP1 segment, whatever it is")
@pytest.mark.parametrize(
    "segments",
    [
        _segment(b"Exif\0x" + _exif(6)[10:]),
        _segment(b"http://ns.adobe.com/xap/1.0/\0<x/>") + _exif(6),
        _segment(b"Exif\0\0") + _exif(6),
        _exif(6) + _exif(1),
        _exif(1) + _exif(6),
        _exif(0) + _exif(6),
        _exif(1, mark=43) + _exif(6),
        _exif(1, start=9999) + _exif(6),
        _exif(1, tag=0x0113) + _exif(6),
        _exif(6, b"MM"),
        _exif(6, b"IM"),
        _exif(6, b"\0\0"),
    ],
)  # fmt: skip
def test_odd_exif_is_read_as_opencv_reads_it(segments: bytes) -> None:
    plain = jpeg(photo(30, 20))
    data = plain[:2] + segments + plain[2:]
    assert read_header(data).upright_size == decoded(data).shape[1::-1]


def test_jpeg_details() -> None:
    pixels = photo(40, 30)
    sampled_444 = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    assert read_header(jpeg(pixels)).sampling == ((2, 2), (1, 1), (1, 1))
    assert read_header(jpeg(pixels, 95, None, *sampled_444)).sampling == ((1, 1),) * 3
    assert not read_header(jpeg(pixels)).progressive
    assert read_header(pictures.progressive(pixels)).progressive
    assert not read_header(jpeg(pixels)).restarts
    assert read_header(jpeg(pixels, 95, None, cv2.IMWRITE_JPEG_RST_INTERVAL, 1)).restarts
    assert read_header(jpeg(pixels[..., 0])).sampling == ((1, 1),)
    assert read_header(pictures.cmyk_jpeg(np.zeros((8, 8, 4), np.uint8))).components == 4


def test_png_details() -> None:
    assert read_header(pictures.png(photo(9, 9).astype(np.uint16))).precision == 16
    assert read_header(pictures.png(np.zeros((9, 9, 4), np.uint8))).components == 4
    assert read_header(pictures.palette_png(np.zeros((9, 9), np.uint8), [(1, 2, 3)])).components == 1


def test_junk_between_jpeg_segments_is_skipped_as_libjpeg_does() -> None:
    data = jpeg(photo(30, 20))
    junk = data[:2] + b"\xff\xe0\x00\x04ab" + b"\x00\x17\xff\xff\x00junk\xff" + data[2:]
    assert read_header(junk)[:3] == ("jpeg", 30, 20)
    assert decoded(junk).shape[:2] == (20, 30)


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "empty"),
        (b"hello, world", "68 65 6c 6c"),
        (bytes(100), "zero bytes"),
        (b"\n <!DOCTYPE HTML><html>", "HTML"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"GIF89a" + bytes(20), "gif is not supported"),
        (b"\0\0\0\x1cftypheic" + bytes(20), "heic is not supported"),
        (b"\0\0\0\x1cftypavif" + bytes(20), "avif is not supported"),
        (b"\0\0\0\x18ftypmp42" + bytes(20), "a video?"),
        (b"8BPS\0\1" + bytes(20), "psd is not supported"),
        (b"\xff\xd8\xff", "cut short"),
        (b"\x89PNG\r\n\x1a\n", "cut short"),
        (b"BM" + bytes(10) + b"\0\0\x28\0\0\0", "cut short"),
    ],
)
def test_refusals_say_what_was_seen(data: bytes, words: str) -> None:
    with pytest.raises(ImageError) as caught:
        read_header(data)
    assert words in caught.value.reason
    assert caught.value.stage == "decode"


def test_a_picture_without_pixels_is_refused() -> None:
    with pytest.raises(ImageError, match="0 x 7 pixels"):
        read_header(pictures.bomb(0, 7))


@pytest.mark.parametrize(
    "head, name",
    [
        (b"\xff\xd8\xff\xdb", "jpeg"),
        (b"\xff\xd8\xff\xe1", "jpeg"),
        (b"II+\0\x08\0\0\0", "tiff"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "webp"),
        (b"RIFF\x10\0\0\0WAVEfmt ", None),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"),
        (b"\xff\x0a\x00", "jxl"),
        (b"P6\n3 4\n255\n", "pnm"),
        (b"BMW drivers' club", None),
        (b"", None),
    ],
)
def test_sniff_goes_by_content(head: bytes, name: str | None) -> None:
    assert sniff(head) == name


def test_headers_need_neither_numpy_nor_opencv() -> None:
    code = "import sys, gpu_pack.formats.image_headers; sys.exit('numpy' in sys.modules or 'cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
