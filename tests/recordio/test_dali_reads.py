"""NVIDIA DALI's reader, where it is installed: it reads what we write, and why it cannot read some keys."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from gpu_pack import recordio
from tests.recordio import cases

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    dali = pytest.importorskip("nvidia.dali", reason="DALI is not installed")
    from nvidia.dali import fn


def read(folder: Path, count: int) -> list[tuple[bytes, list[float]]]:
    """``count`` records as DALI's CPU reader gives them: image bytes and labels."""
    pipeline = dali.Pipeline(batch_size=1, num_threads=1, device_id=None)
    with pipeline:
        pipeline.set_outputs(*fn.readers.mxnet(path=[str(folder / "a.rec")], index_path=[str(folder / "a.idx")]))
    pipeline.build()
    found: list[tuple[bytes, list[float]]] = []
    for _ in range(count):
        images, labels = pipeline.run()
        found.append((bytes(images.at(0)), labels.at(0).tolist()))
    return found


def write(folder: Path, framed: list[bytes]) -> None:
    offsets = [sum(map(len, framed[:place])) for place in range(len(framed))]
    (folder / "a.rec").write_bytes(b"".join(framed))
    (folder / "a.idx").write_text("".join(f"{key}\t{offset}\n" for key, offset in enumerate(offsets)))


def test_dali_reads_what_we_write(tmp_path: Path) -> None:
    records: list[tuple[list[float], bytes]] = [
        ([3.0], cases.pattern(101)),
        ([1.0, 0.5], cases.pattern(40)),
        ([4.0], cases.MAGIC + cases.pattern(9) + b"abc" + cases.MAGIC + b"end"),
        ([5.0, 6.0, 7.0], cases.pattern(8) + cases.MAGIC),
    ]
    write(tmp_path, [recordio.frame_image(key, labels, data) for key, (labels, data) in enumerate(records)])
    assert read(tmp_path, len(records)) == [(data, labels) for labels, data in records]


@pytest.mark.parametrize(
    ("key", "label"), [(0xCED7230A, 1.0), (0xCED7230A << 32, 1.0), (0, -1804698880.0), (0, [1.0, -1804698880.0])]
)
def test_dali_fails_on_the_headers_that_we_refuse(tmp_path: Path, key: int, label: Any) -> None:
    assert recordio.header_carries_magic(key, label if isinstance(label, list) else [label])
    write(tmp_path, [recordio.frame(recordio.pack((0, label, key, 0), b"image"))])
    with pytest.raises(RuntimeError, match="mxnet"):
        read(tmp_path, 1)
