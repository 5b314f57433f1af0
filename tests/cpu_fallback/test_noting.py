"""What create notes, or does when asked to: alpha, depth, pages, blemishes, other formats, EXIF data."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from cpu_fallback.codec import transform
from cpu_fallback.depth_and_alpha import deep_bits
from cpu_fallback.opencv_formats import decodes
from gpu_pack.errors import UsageError
from gpu_pack.formats.image_headers import ImageError, others, read_header
from gpu_pack.types import Color, TransformSpec
from tests import pictures
from tests.contract import decoded
from tests.pictures import chunk, jpeg, photo, quadrants

SPEC = TransformSpec(size=None, crop=False, encoding="png", quality=1)


def notices(data: bytes, spec: TransformSpec = SPEC) -> tuple[str, ...]:
    return transform(data, spec).notices


def refusal(data: bytes, spec: TransformSpec = SPEC) -> ImageError:
    with pytest.raises(ImageError) as caught:
        transform(data, spec)
    return caught.value


# Alpha


def half_transparent() -> np.ndarray:
    """Black, height x width x 4, whose left half is transparent."""
    pixels = np.zeros((20, 40, 4), np.uint8)
    pixels[:, 20:, 3] = 255
    return pixels


def gray_png_with_key(level: int) -> bytes:
    """Gray levels 0 to 39 in each row, of which one is transparent by a tRNS chunk."""
    data = pictures.png(np.tile(np.arange(40, dtype=np.uint8), (20, 1)))
    return data[:33] + chunk(b"tRNS", struct.pack(">H", level)) + data[33:]


def palette_png_with_alpha() -> bytes:
    data = pictures.palette_png(np.eye(20, dtype=np.uint8), [(0, 0, 0), (9, 9, 9)])
    place = data.index(b"IDAT") - 4
    return data[:place] + chunk(b"tRNS", b"\0") + data[place:]


TRANSPARENT = {
    "png": pictures.png(half_transparent()),
    "webp": pictures.webp(half_transparent(), 101),
    "palette": palette_png_with_alpha(),
    "gray key": gray_png_with_key(7),
    "16 bits": pictures.png(half_transparent().astype(np.uint16) * 257),
}


@pytest.mark.parametrize("kind", TRANSPARENT)
def test_dropped_alpha_is_noted(kind: str) -> None:
    assert notices(TRANSPARENT[kind]) == ("alpha-dropped",)
    assert notices(TRANSPARENT[kind], replace(SPEC, color="unchanged")) == ()
    assert notices(TRANSPARENT[kind], replace(SPEC, other_formats=True)) == ()


def test_opaque_alpha_is_not_noted() -> None:
    assert notices(pictures.png(np.full((20, 20, 4), 255, np.uint8))) == ()
    assert notices(gray_png_with_key(99)) == ()


@pytest.mark.parametrize("color", ["rgb", "gray", "unchanged"])
@pytest.mark.parametrize("kind", ["png", "webp", "16 bits"])
def test_a_background_shows_through(kind: str, color: Color) -> None:
    result = transform(TRANSPARENT[kind], replace(SPEC, background="white", color=color))
    pixels = decoded(result.data)
    assert result.notices == ()
    assert (pixels[:, :20] == 255).all() and (pixels[:, 20:] == 0).all()


def test_a_background_is_any_css_colour() -> None:
    red = decoded(transform(TRANSPARENT["png"], replace(SPEC, background="#F00")).data)
    assert red[0, 0].tolist() == [0, 0, 255]
    for name, hexadecimal in (("DarkSlateGrey", "#2f4f4f"), ("RebeccaPurple", "#663399"), (" #FA0", "#ffaa00")):
        assert TransformSpec(background=name).background == hexadecimal
    with pytest.raises(UsageError, match="--background"):
        TransformSpec(background="no colour")


def test_alpha_of_a_tiff_counts_once() -> None:
    """OpenCV multiplies such colours by alpha already."""
    data = pictures.tiff_with_alpha(np.full((20, 20, 4), (200, 40, 90, 128), np.uint8))
    laid = decoded(transform(data, replace(SPEC, background="white")).data)[10, 10]
    assert np.abs(laid.astype(int) - (172, 147, 227)).max() <= 2


@pytest.mark.parametrize("background", [None, "white"])
def test_alpha_that_opencv_does_not_give_is_noted(background: str | None) -> None:
    data = pictures.tiff_with_alpha(np.full((20, 20, 2), (90, 0), np.uint8))
    assert notices(data, replace(SPEC, background=background)) == ("alpha-dropped",)


@pytest.mark.parametrize(("change", "channels"), [({"background": "white"}, 3), ({"depth": "scale"}, 4), ({}, 4)])
@pytest.mark.parametrize("most", [255, 254])
def test_opaque_and_transparent_pictures_get_the_same_channels(
    change: dict[str, str], channels: int, most: int
) -> None:
    pixels = np.full((20, 20, 4), most, np.uint16) * 257
    result = transform(pictures.png(pixels), replace(SPEC, color="unchanged", **change))  # type: ignore[arg-type]
    assert decoded(result.data, cv2.IMREAD_UNCHANGED).shape == (20, 20, channels)


# Depth

TWELVE_BITS = np.tile(np.linspace(0, 4095, 40).astype(np.uint16), (20, 1))


def with_significant_bits(data: bytes, bits: int) -> bytes:
    return data[:33] + chunk(b"sBIT", bytes((bits,))) + data[33:]


@pytest.mark.parametrize("encode", [pictures.png, pictures.tiff])
def test_unused_depth_is_noted_or_used(encode: object) -> None:
    data = encode(TWELVE_BITS)  # type: ignore[operator]
    result = transform(data, SPEC)
    assert result.notices == ("depth-unused",) and decoded(result.data).max() == 15
    scaled = transform(data, replace(SPEC, depth="scale", depth_bits=12))
    assert scaled.notices == () and decoded(scaled.data).max() == 255
    by_the_set = transform(data, replace(SPEC, depth="scale", depth_bits=13))
    assert 126 <= decoded(by_the_set.data).max() <= 128
    unchanged = replace(SPEC, color="unchanged")
    assert notices(data, unchanged) == ()
    stretched = decoded(transform(data, replace(unchanged, depth="scale", depth_bits=12)).data, cv2.IMREAD_UNCHANGED)
    assert stretched.dtype == np.uint16 and stretched.max() == 65535


def test_full_depth_is_not_noted() -> None:
    assert notices(pictures.png(TWELVE_BITS * 16)) == ()
    assert notices(pictures.png(np.zeros((9, 9), np.uint16))) == (), "black has nothing to stretch"


def test_a_files_own_bits_come_first_unless_its_values_are_larger() -> None:
    spec = replace(SPEC, depth="scale", depth_bits=16)
    assert decoded(transform(with_significant_bits(pictures.png(TWELVE_BITS), 12), spec).data).max() == 255
    scaled_up = with_significant_bits(pictures.png(TWELVE_BITS * 8), 12)
    assert decoded(transform(scaled_up, spec).data).max() == 4095 * 8 >> 8


def test_a_scaled_up_file_does_not_count_for_the_set() -> None:
    scaled_up = with_significant_bits(pictures.png(TWELVE_BITS * 15), 10)
    assert [deep_bits(data, read_header(data)) for data in (scaled_up, pictures.png(TWELVE_BITS))] == [0, 12]


def test_sixteen_bits_become_eight_for_jpeg() -> None:
    data = transform(pictures.png(TWELVE_BITS * 16), TransformSpec(size=None, crop=False, color="unchanged")).data
    assert abs(int(decoded(data, cv2.IMREAD_GRAYSCALE)[:, 20].mean()) - int(TWELVE_BITS[0, 20] >> 4)) <= 2


# Pages


def multi_picture(types: list[int]) -> bytes:
    """A JPEG with an index of further pictures behind it."""
    first, second = jpeg(photo(16, 16)), jpeg(photo(8, 8))
    entries = b"".join(
        struct.pack("<IIIHH", kind, len(second), 1 if number else 0, 0, 0) for number, kind in enumerate(types)
    )
    index = b"II*\0" + struct.pack("<IHHHII", 8, 1, 0xB002, 7, len(entries), 26) + struct.pack("<I", 0) + entries
    return first[:2] + pictures.segment(0xE2, b"MPF\0" + index) + first[2:] + second


def test_further_pages_are_noted(tmp_path: Path) -> None:
    assert notices(multi_picture([0x030000, 0x020003])) == ("more-pages",)
    assert notices(multi_picture([0x030000, 0x010001])) == (), "a preview"
    assert cv2.imwritemulti(str(tmp_path / "pages.tiff"), [photo(9, 9), photo(8, 8)])
    pages = (tmp_path / "pages.tiff").read_bytes()
    assert read_header(pages).pages == 2 and "more-pages" in notices(pages)
    still = pictures.png(photo(9, 9))
    control, frame = chunk(b"acTL", struct.pack(">II", 2, 0)), chunk(b"fcTL", bytes(26))
    assert notices(still[:33] + control + frame + still[33:]) == ("more-pages",)
    assert read_header(still[:33] + control + frame + still[33:]).pages == 2
    assert read_header(still[:33] + control + still[33:]).pages == 3, "the default image is no frame"
    assert notices(still) == notices(jpeg(photo(9, 9))) == ()


# Blemishes

KEEP = replace(SPEC, damage="keep")
BASELINE, PROGRESSIVE = jpeg(photo(160, 120)), pictures.progressive(photo(160, 120))


@pytest.mark.parametrize("data", [BASELINE, PROGRESSIVE, pictures.cmyk_jpeg(np.full((16, 16, 4), 90, np.uint8))])
@pytest.mark.parametrize("kind", ["no end", "bytes before the end"])
def test_blemishes_that_lose_no_pixel(data: bytes, kind: str) -> None:
    blemished = data[:-2] if kind == "no end" else data[:-2] + b"\1" * 40 + data[-2:]
    assert refusal(blemished).code == "blemished"
    result = transform(blemished, KEEP)
    assert result.notices == ("blemish-kept",)
    assert result.data == transform(data, KEEP).data


def test_many_bytes_before_the_end_stay_a_reject() -> None:
    """They are rather picture data, which a decoder that lost its place did not need."""
    assert refusal(BASELINE[:-2] + b"\1" * 1100 + BASELINE[-2:], KEEP).code == "damaged"


@pytest.mark.parametrize("data", [BASELINE, PROGRESSIVE])
def test_cut_files_stay_rejects(data: bytes) -> None:
    scans = [place for place in range(len(data)) if data[place : place + 2] == b"\xff\xda"]
    for size in [len(data) - 3, len(data) - 40, len(data) // 2, *scans[1:]]:
        assert refusal(data[:size], KEEP).code == "truncated"


# Formats and kinds


@pytest.mark.parametrize("suffix", [".gif", ".jp2", ".avif", ".ppm"])
def test_other_formats_are_packed_where_opencv_reads_them(suffix: str) -> None:
    name = {".ppm": "pnm"}.get(suffix, suffix[1:])
    if not decodes(name):
        pytest.skip("this OpenCV does not read it")
    data = cv2.imencode(suffix, quadrants(64, 48))[1].tobytes()
    assert refusal(data).code == "unsupported" and "--formats any" in refusal(data).reason
    packed = transform(data, replace(SPEC, formats="any"))
    assert (packed.width, packed.height) == (64, 48)
    if suffix != ".ppm":
        assert refusal(data[: len(data) * 2 // 3], replace(SPEC, formats="any")).code == "truncated"


def test_what_opencv_cannot_read_is_told_as_that() -> None:
    for data in (b"\0\0\0\x18ftypheic" + bytes(40), b"8BPS" + bytes(40)):
        for spec in (SPEC, replace(SPEC, formats="any"), replace(SPEC, other_formats=True)):
            error = refusal(data, spec)
            assert error.code == "unsupported" and f"OpenCV {cv2.__version__} cannot read" in error.reason


def test_kinds_of_jpeg_that_are_not_decoded_are_named() -> None:
    frame = BASELINE.index(b"\xff\xc0")
    no_height = BASELINE[: frame + 5] + b"\0\0" + BASELINE[frame + 7 : -2] + b"\xff\xdc\0\4\0\x78\xff\xd9"
    twelve = BASELINE[: frame + 1] + b"\xc1" + BASELINE[frame + 2 : frame + 4] + b"\x0c" + BASELINE[frame + 5 :]
    hierarchical = BASELINE[: frame + 1] + b"\xc5" + BASELINE[frame + 2 :]
    for data, word in (
        (b"\xff\xd8" + pictures.segment(0xF7, bytes(9)) + BASELINE[2:], "JPEG-LS"),
        (no_height, "DNL"),
        (twelve, "12-bit"),
        (hierarchical, "hierarchical"),
        (BASELINE[: frame + 1] + b"\xc3" + BASELINE[frame + 2 :], "lossless"),
    ):
        error = refusal(data)
        assert error.code == "unsupported" and word in error.reason


def test_a_tiff_of_a_depth_that_opencv_does_not_read_is_named() -> None:
    data = bytearray(pictures.tiff(np.zeros((20, 20), np.uint16)))
    place = data.index(struct.pack("<HHI", 258, 3, 1)) + 8  # BitsPerSample
    data[place : place + 2] = struct.pack("<H", 24)
    error = refusal(bytes(data))
    assert error.code == "unsupported" and "24-bit" in error.reason


# EXIF data


def box(name: bytes, *contents: bytes) -> bytes:
    inside = b"".join(contents)
    return struct.pack(">I", 8 + len(inside)) + name + inside


@pytest.mark.parametrize(
    ("boxes", "orientation"),
    [
        ((), 1),
        ((box(b"imir", b"\1"),), 2),
        ((box(b"irot", b"\2"),), 3),
        ((box(b"imir", b"\0"),), 4),
        ((box(b"irot", b"\1"), box(b"imir", b"\0")), 5),
        ((box(b"irot", b"\3"),), 6),
        ((box(b"irot", b"\3"), box(b"imir", b"\0")), 7),
        ((box(b"irot", b"\1"),), 8),
    ],
)
def test_avif_is_turned_by_its_boxes(boxes: tuple[bytes, ...], orientation: int) -> None:
    """The boxes that libavif writes for each EXIF orientation."""
    properties = box(b"meta", bytes(4), box(b"iprp", box(b"ipco", box(b"ispe", bytes(12)), *boxes)))
    assert others.read(box(b"ftyp", b"avif", bytes(4)) + properties, "avif").orientation == orientation


@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
@pytest.mark.parametrize("color", ["rgb", "unchanged"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_exif_turns_png_and_webp(orientation: int, color: Color, prefix: bytes) -> None:
    pixels = quadrants(40, 30)
    block = prefix + pictures.exif(orientation)
    for data in (pictures.png_with_exif(pictures.png(pixels), block), webp_with_exif(pixels, block)):
        result = decoded(transform(data, replace(SPEC, color=color)).data)
        assert np.array_equal(result, pictures.upright(pixels, orientation))


def webp_with_exif(pixels: np.ndarray, block: bytes) -> bytes:
    """A lossless WebP with an EXIF chunk."""
    picture = pictures.webp(pixels, 101)[12:]
    height, width = pixels.shape[:2]
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    header = struct.pack("<4sIB3x", b"VP8X", 10, 8) + size
    chunks = header + picture + struct.pack("<4sI", b"EXIF", len(block)) + block + bytes(len(block) % 2)
    return b"RIFF" + struct.pack("<I4s", len(chunks) + 4, b"WEBP") + chunks
