"""How RecordDataset reads and decodes: libjpeg-turbo and OpenCV give the same pixels, and batches are one array."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gpu_pack.dataset import RecordDataset, collate
from gpu_pack.errors import FormatError, UsageError
from gpu_pack.recordio import MAGIC_BYTES, frame_image
from gpu_pack.types import Color
from tests.tools.foreign_records import write_rec

PHOTOS = Path(__file__).parents[1] / "photos"


def jpeg(image: Any, *flags: int) -> bytes:
    return cv2.imencode(".jpg", image, flags)[1].tobytes()


def noise(height: int = 24, width: int = 32, seed: int = 0) -> np.ndarray[Any, Any]:
    rough = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.GaussianBlur(rough, (5, 5), 2)


def turned(data: bytes) -> bytes:
    """The same JPEG with an EXIF orientation of 6: to be turned by 90 degrees."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    return data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]


def kinds() -> dict[str, bytes]:
    """Encoded pictures that take different ways through the decoders."""
    image = noise()
    whole = jpeg(image)
    return {
        "4:2:0": whole,
        "4:4:4": jpeg(image, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
        "progressive": jpeg(image, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "gray": jpeg(image[:, :, 0]),
        "turned": turned(whole),
        "cut": whole[: len(whole) * 2 // 3] + b"\xff\xd9",
        "odd size": jpeg(noise(23, 31)),
        "png": cv2.imencode(".png", image)[1].tobytes(),
        **{path.name: path.read_bytes() for path in sorted(PHOTOS.rglob("*.*")) if path.suffix != ".md"},
    }


def by_opencv(data: bytes, color: Color) -> Any:
    flags = {"rgb": cv2.IMREAD_COLOR, "gray": cv2.IMREAD_GRAYSCALE, "unchanged": cv2.IMREAD_UNCHANGED}
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags[color])
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize("color", ["rgb", "gray", "unchanged"])
def test_pixels_are_opencvs(tmp_path: Path, color: Color, capfd: pytest.CaptureFixture[str]) -> None:
    found = kinds()
    rec = write_rec(tmp_path / "a.rec", ((key, key, key, data) for key, data in enumerate(found.values())))
    dataset = RecordDataset(rec, color=color)
    together = dataset.__getitems__(range(len(dataset)))
    for place, (name, data) in enumerate(found.items()):
        wanted = by_opencv(data, color)
        for image, label in (dataset[place], together[place]):
            assert image.shape == wanted.shape and np.array_equal(image, wanted), name
            assert label == place and image.flags.writeable and image.dtype == np.uint8


def test_a_header_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    data = bytearray(jpeg(noise()))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = b"\xff\xf0\xff\xf0"
    dataset = RecordDataset(write_rec(tmp_path / "a.rec", [(0, 0, 0, bytes(data))]))
    with pytest.raises(FormatError, match="cannot decode"):
        dataset[0]


def test_records_in_parts_long_ones_and_chosen_ones(tmp_path: Path) -> None:
    data = [b"\xff\xd8" + bytes(6) + MAGIC_BYTES + b"rest", b"x" * 700_001, b"y", b"z" * 5]
    path = tmp_path / "a.rec"
    framed = [frame_image(key, (float(key),), each) for key, each in enumerate(data)]
    path.write_bytes(b"".join(framed))
    offsets = [sum(map(len, framed[:key])) for key in range(len(data))]
    for chosen in ([0, 1, 2, 3], [3, 0, 1], [0, 3], [1]):
        path.with_suffix(".idx").write_text("".join(f"{key}\t{offsets[key]}\n" for key in chosen))
        dataset = RecordDataset(path, decode=False)
        wanted = [(data[key], key) for key in chosen]
        assert list(dataset) == dataset.__getitems__(range(len(chosen))) == wanted


@pytest.fixture
def rec(tmp_path: Path) -> Path:
    return write_rec(tmp_path / "train.rec", ((key, key, key, jpeg(noise(seed=key))) for key in range(8)))


def test_a_batch_is_one_array_without_a_copy(rec: Path) -> None:
    dataset = RecordDataset(rec)
    items = dataset.__getitems__([5, 2, 7])
    images, labels = collate(items)
    assert images.shape == (3, 24, 32, 3) and images.dtype == np.uint8 and images.flags.c_contiguous
    assert labels.tolist() == [5, 2, 7] and labels.dtype == np.int64
    assert all(np.shares_memory(images, image) for image, _ in items)
    for image, place in zip(images, (5, 2, 7), strict=True):
        assert np.array_equal(image, dataset[place][0])
    for other in (items[::-1], items[:2], [*items[:2], items[0]], [dataset[5], dataset[2]]):
        for image, (wanted, _) in zip(collate(other)[0], other, strict=True):
            assert np.array_equal(image, wanted)


def test_layouts_and_gray(rec: Path) -> None:
    items = RecordDataset(rec).__getitems__([0, 1])
    channels_first, _ = collate(items, layout="NCHW")
    assert channels_first.shape == (2, 3, 24, 32)
    assert np.array_equal(channels_first[1, 2], items[1][0][:, :, 2])
    gray = RecordDataset(rec, color="gray").__getitems__([0, 1, 2])
    assert collate(gray)[0].shape == (3, 24, 32, 1) and collate(gray, layout="NCHW")[0].shape == (3, 1, 24, 32)
    with pytest.raises(UsageError, match="NHWC or NCHW"):
        collate(items, layout="CHWN")  # type: ignore[arg-type]


def test_labels_of_a_batch() -> None:
    image = noise()
    assert collate([(image, 1), (image, 0.5)])[1].dtype == np.float32
    several = np.array([1.0, 2.5], np.float32)
    labels = collate([(image, several)] * 3)[1]
    assert labels.shape == (3, 2) and labels.dtype == np.float32


def test_what_makes_no_batch_is_named() -> None:
    image = noise()
    for items, sentence in (
        ([], "no items"),
        ([(image, 0), (noise(8, 8), 0)], "24x32x3 and 8x8x3"),
        ([(b"encoded", 0)], "bytes"),
        ([(image, "cat")], "'cat'"),
        ([(image, np.zeros(2)), (image, np.zeros(3))], "different lengths"),
    ):
        with pytest.raises(UsageError, match=sentence):
            collate(items)
