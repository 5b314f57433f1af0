"""JPEGs by libjpeg-turbo: the pixels are OpenCV's, and damage that only the decoder sees is named."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

import gpu_pack
from cpu_fallback.codec import transform
from cpu_fallback.decode import decode
from gpu_pack.formats.image_headers import ImageError, read_header
from gpu_pack.tools.verify import verify
from gpu_pack.types import Color, TransformSpec
from tests import pictures
from tests.pictures import jpeg, photo, segment

SPEC = TransformSpec(size=64)
WHOLE, OTHER = jpeg(photo(420, 300, 1)), jpeg(photo(420, 300, 2))
MIDDLE = len(WHOLE) // 2
CUT = WHOLE.index(b"\xff\xdb")

#: What no decoder minds, and a file's structure does not show.
DAMAGED = {
    "a block of another picture": WHOLE[:MIDDLE] + OTHER[8192:12288] + WHOLE[MIDDLE + 4096 :],
    "the second half of another": WHOLE[:MIDDLE] + OTHER[len(OTHER) // 2 :],
    "a block that is gone": WHOLE[:MIDDLE] + WHOLE[MIDDLE + 4096 :],
    "a block that came twice": WHOLE[: MIDDLE + 4096] + WHOLE[MIDDLE:],
    "the last rows are gone": WHOLE[:-6000] + b"\xff\xd9",
    "more bytes than encoders leave": WHOLE[:-2] + b"\x2a" * 40 + WHOLE[-2:],
}
#: What libjpeg warns of, and is no damage.
SOUND = {
    "whole": WHOLE,
    "junk between segments": WHOLE[:CUT] + b"junk that goes on for a while" + WHOLE[CUT:],
    "a few bytes too many": WHOLE[:-2] + b"\0\0\0" + WHOLE[-2:],
    "an unknown version of JFIF": WHOLE[:2] + segment(0xE0, b"JFIF\0\7\0\0\0\1\0\1\0\0") + WHOLE[2:],
}
REDUCED = {
    ("rgb", 1): cv2.IMREAD_COLOR,
    ("rgb", 2): cv2.IMREAD_REDUCED_COLOR_2,
    ("rgb", 8): cv2.IMREAD_REDUCED_COLOR_8,
    ("gray", 1): cv2.IMREAD_GRAYSCALE,
    ("gray", 4): cv2.IMREAD_REDUCED_GRAYSCALE_4,
    ("unchanged", 1): cv2.IMREAD_UNCHANGED,
}


def verdict(data: bytes, spec: TransformSpec = SPEC) -> str | None:
    try:
        transform(data, spec)
    except ImageError as error:
        return error.reason
    return None


@pytest.mark.parametrize("color, reduction", REDUCED)
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (7, 5), (9, 8), (151, 98)])
def test_pixels_are_opencvs(size: tuple[int, int], color: Color, reduction: int) -> None:
    pixels = photo(*size)
    files = [jpeg(pixels, 90, orientation) for orientation in range(1, 9)]
    files += [jpeg(pixels, 90, None, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor) for factor in (0x411111, 0x111111)]
    files += [jpeg(pixels[..., 0].copy()), pictures.progressive(pixels)]
    files += [pictures.cmyk_jpeg(np.dstack((pixels, pixels[..., 0])))]
    for data in files:
        wanted = cv2.imdecode(np.frombuffer(data, np.uint8), REDUCED[color, reduction])
        assert wanted is not None
        assert np.array_equal(decode(data, read_header(data), color, reduction, as_imread=True), wanted)


def test_a_picture_too_large_for_the_kept_buffer() -> None:
    pixels = np.full((8000, 8500), 77, np.uint8)
    pixels[2000:2600, 2000:2600] = 200
    large = decode(data := jpeg(pixels), read_header(data), "gray")
    assert np.array_equal(large, cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE))


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("spec", [SPEC, TransformSpec(size=20), TransformSpec(interp="linear", color="gray")])
def test_damage_that_only_the_decoder_sees(name: str, spec: TransformSpec) -> None:
    assert (verdict(DAMAGED[name], spec) or "").startswith("a damaged JPEG: ")


@pytest.mark.parametrize("color", ["rgb", "unchanged"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_lost_rows_are_noticed_whichever_way_the_picture_lies(orientation: int, color: Color) -> None:
    data = jpeg(photo(300, 200), 90, orientation)
    for size in (64, 20):
        assert verdict(data[:-6000] + b"\xff\xd9", TransformSpec(size=size, color=color)) == (
            "a damaged JPEG: libjpeg says: premature end of data segment"
        )


def test_damage_in_a_picture_that_opencv_decodes() -> None:
    """CMYK is converted by OpenCV, which is silent about damage."""
    data = pictures.cmyk_jpeg(photo(200, 150)[..., [0, 1, 2, 0]])
    assert verdict(data) is None
    assert "libjpeg says" in (verdict(data[:-4000] + b"\xff\xd9") or "")


def test_damage_between_restart_markers() -> None:
    data = bytearray(jpeg(photo(300, 200), 95, None, cv2.IMWRITE_JPEG_RST_INTERVAL, 4))
    assert verdict(bytes(data)) is None
    place = len(data) // 2
    data[place : place + 2] = b"\xff\x42"
    assert "foreign data" in (verdict(bytes(data)) or "")


@pytest.mark.parametrize("name", SOUND)
def test_what_is_no_damage(name: str) -> None:
    assert transform(SOUND[name], SPEC) == transform(WHOLE, SPEC)


def test_each_thread_has_its_own_pictures() -> None:
    """Four threads decode at once, damaged and sound pictures of several sizes in turn."""
    files = [*SOUND.values(), *DAMAGED.values(), jpeg(photo(90, 130)), jpeg(photo(1000, 700, 3))]
    alone = [_outcome(data) for data in files]
    assert {type(outcome) for outcome in alone} == {bytes, str}
    found: dict[int, Sequence[bytes | str]] = {}

    def work(start: int) -> None:
        order = [(start + number) % len(files) for number in range(24)]
        found[start] = [_outcome(files[place]) for place in order]

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for start in range(4):
        assert found[start] == [alone[(start + number) % len(files)] for number in range(24)]


def _outcome(data: bytes) -> bytes | str:
    try:
        return transform(data, SPEC).data
    except ImageError as error:
        return error.reason


def test_a_run_rejects_them_and_verify_finds_those_that_were_passed_through(tmp_path: Path) -> None:
    for number, data in enumerate((*SOUND.values(), *DAMAGED.values())):
        path = tmp_path / "source/a" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    options = gpu_pack.CreateOptions(spec=SPEC, device=gpu_pack.DeviceOptions("cpu", workers=2))
    report = gpu_pack.create(tmp_path / "source", tmp_path / "out", options)
    assert (report.packed, report.rejected) == (len(SOUND), len(DAMAGED))
    passing = gpu_pack.CreateOptions(spec=TransformSpec(pass_through=True))
    assert gpu_pack.create(tmp_path / "source", tmp_path / "passed", passing).packed == len(SOUND) + len(DAMAGED)
    assert verify([tmp_path / "out"]).ok
    faults = [fault for fault in verify([tmp_path / "passed"]).faults if "damaged" in fault.what]
    assert len(faults) == len(DAMAGED)
