""".rec files as other programs write them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from gpu_pack.recordio import MXIndexedRecordIO, frame, pack
from tests.tools.datasets import smooth_jpeg

PICTURES = 6
RANGES = ((1, 3), (3, 5), (5, 7))


def write_rec(path: Path, records: Iterable[tuple[int, int, object, bytes]]) -> Path:
    """A .rec and its .idx from keys, ids, labels and images."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with MXIndexedRecordIO(path.with_suffix(".idx"), path, "w") as file:
        for key, record_id, label, image in records:
            file.write_idx(key, pack((0, label, record_id, 0), image))
    return path


def insightface(path: Path, zero: Sequence[float] = (7, 10), ranges: Sequence[Sequence[float]] = RANGES) -> Path:
    """Record 0, six pictures of three identities, and the identities' ranges, as in faces_emore."""
    pictures = [(key, key, (key - 1) // 2, smooth_jpeg(key)) for key in range(1, PICTURES + 1)]
    identities = [(7 + number, 7 + number, list(each), b"") for number, each in enumerate(ranges)]
    return write_rec(path, [(0, 0, list(zero), b""), *pictures, *identities])


def without_ids(path: Path) -> Path:
    """Six records with the id 0 and the keys 10 to 15, as many tutorials write it."""
    return write_rec(path, ((10 + number, 0, number % 2, smooth_jpeg(number)) for number in range(6)))


def joined(path: Path) -> Path:
    """Two files of three records with the ids 0 to 2, one after the other, without .idx."""
    write_rec(path, ((key, key, key, smooth_jpeg(key)) for key in range(3)))
    path.write_bytes(path.read_bytes() * 2)
    path.with_suffix(".idx").unlink()
    return path


def protobuf(path: Path, count: int = 3) -> Path:
    """SageMaker's protobuf RecordIO, as `sagemaker.amazon.common.write_numpy_to_dense_tensor` makes it."""

    def field(number: int, value: bytes) -> bytes:
        length = bytes([len(value)]) if len(value) < 128 else bytes([len(value) & 127 | 128, len(value) >> 7])
        return bytes([number << 3 | 2]) + length + value

    def tensor(*values: float) -> bytes:
        return field(2, field(1, struct.pack(f"<{len(values)}f", *values)))  # Value.float32_tensor, its values packed

    def record(number: int) -> bytes:
        features = field(1, b"values") + field(2, tensor(*range(number, number + 40)))
        labels = field(1, b"values") + field(2, tensor(number))
        return field(1, features) + field(2, labels)

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(frame(record(number)) for number in range(count)))
    return path


def entries(path: Path) -> list[tuple[int, int]]:
    """Key and offset of each line of the .idx beside a .rec."""
    lines = path.with_suffix(".idx").read_text().splitlines()
    return [(int(key), int(offset)) for key, offset in (line.split("\t") for line in lines)]
