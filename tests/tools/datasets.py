"""Small datasets and records for tests, made from pictures that are drawn here."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

import gpu_pack
from gpu_pack.recordio import frame_image, scan, scan_headers, unpack
from gpu_pack.tools.faults import ToolReport

#: So small that a test can flip bits all over every file.
SIZE = 24
FILES = ["manifest.json", "classes.txt", "rejects.jsonl"] + [
    f"{split}-0000{shard}-of-00002.{suffix}"
    for split in ("train", "validation")
    for shard in (0, 1)
    for suffix in ("rec", "idx", "lst")
]


def smooth_jpeg(number: int) -> bytes:
    """A smooth picture with a little noise, 40 x 30."""
    random = np.random.default_rng(number)
    pixels = cv2.resize(random.integers(0, 255, (3, 4, 3), np.uint8), (40, 30), interpolation=cv2.INTER_CUBIC)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def gray_square(width: int = SIZE, height: int = SIZE) -> bytes:
    """A JPEG file of one colour."""
    return cv2.imencode(".jpg", np.full((height, width, 3), 99, np.uint8))[1].tobytes()


def pack_dataset(folder: Path) -> Path:
    """Two splits of two shards with 13 and 3 records, two classes and one reject: `FILES`."""
    source = folder / "source"
    for number in range(16):
        path = source / f"class {number % 2}" / f"{number}.jpeg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(smooth_jpeg(number))
    (source / "class 0" / "torn.jpg").write_bytes(smooth_jpeg(0)[:300])
    division = gpu_pack.Division((("train", Fraction(3, 4)), ("validation", Fraction(1, 4))), shards=2)
    options = gpu_pack.CreateOptions(
        spec=gpu_pack.TransformSpec(size=SIZE), division=division, device=gpu_pack.DeviceOptions("cpu", workers=1)
    )
    report = gpu_pack.create(source, folder / "out", options)
    assert (report.packed, report.rejected) == (16, 1)
    return folder / "out"


def offsets(path: Path) -> list[int]:
    """Where the records of a .rec begin."""
    with path.open("rb") as file:
        return [info.offset for info in scan_headers(file)]


def images(dataset: Path, pattern: str = "*.rec") -> list[bytes]:
    """The images of a dataset's records, sorted."""
    found = []
    for path in dataset.glob(pattern):
        with path.open("rb") as file:
            found += [unpack(record.payload)[1] for record in scan(file)]
    return sorted(found)


def replace_record(path: Path, number: int, labels: tuple[float, ...], data: bytes) -> None:
    """Put another record with the same key in the place of one, and rewrite the index."""
    with path.open("rb") as file:
        infos = list(scan_headers(file))
    raw = path.read_bytes()
    frames = [raw[info.offset : info.end] for info in infos]
    frames[number] = frame_image(infos[number].key, labels, data)
    path.write_bytes(b"".join(frames))
    begins = [sum(map(len, frames[:row])) for row in range(len(frames))]
    text = "".join(f"{info.key}\t{begin}\n" for info, begin in zip(infos, begins, strict=True))
    path.with_suffix(".idx").write_text(text, newline="\n")


def faults_of(report: ToolReport) -> str:
    """Its faults as lines."""
    return "\n".join(map(str, report.faults))
