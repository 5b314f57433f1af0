"""What create writes, read by those it is written for."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

import gpu_pack
from gpu_pack.formats.lst import read_list
from tests.pipeline.outputs import records


@pytest.mark.parametrize("shards", [1, 3])
def test_dali_reads_what_create_wrote(shards: int, photos: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dali = pytest.importorskip("nvidia.dali", reason="DALI is not installed")
        from nvidia.dali import fn
    options = gpu_pack.CreateOptions(
        gpu_pack.TransformSpec(size=24), gpu_pack.Division(shards=shards), gpu_pack.DeviceOptions("cpu")
    )
    gpu_pack.create(photos, tmp_path / "out", options)
    for rec in sorted((tmp_path / "out").glob("*.rec")):
        expected = records(rec)
        pipeline = dali.Pipeline(batch_size=len(expected), num_threads=1, device_id=None)
        with pipeline:
            data, label = fn.readers.mxnet(path=[str(rec)], index_path=[str(rec.with_suffix(".idx"))])
            pipeline.set_outputs(fn.decoders.image(data, device="cpu"), label)
        pipeline.build()
        images, labels = pipeline.run()
        for place, (_, number, picture) in enumerate(expected):
            assert labels.at(place).tolist() == [number]
            assert np.array_equal(images.at(place)[:, :, ::-1], picture)


def test_the_dataset_reads_what_create_wrote(photos: Path, tmp_path: Path) -> None:
    spec = gpu_pack.TransformSpec(size=24, encoding="png", quality=3)
    gpu_pack.create(photos, tmp_path / "out", gpu_pack.CreateOptions(spec, device=gpu_pack.DeviceOptions("cpu")))
    dataset = gpu_pack.RecordDataset(tmp_path / "out/train.rec")
    entries = list(read_list(tmp_path / "out/train.lst"))
    assert len(dataset) == len(entries) == 30
    for (image, label), entry, (_, _, picture) in zip(
        (dataset[number] for number in range(30)), entries, records(tmp_path / "out/train.rec"), strict=True
    ):
        assert label == entry.labels[0]
        assert np.array_equal(image, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
