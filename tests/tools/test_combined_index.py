"""index --combined: what DALI's readers.mxnet reads through it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

import gpu_pack
from gpu_pack.errors import FormatError, OutputExistsError, SourceError, UsageError
from gpu_pack.recordio import scan, unpack
from tests.folders import Run
from tests.tools.datasets import smooth_jpeg
from tests.tools.foreign_records import entries, insightface, write_rec


def read_with_dali(recs: Sequence[Path], idx: Path, count: int) -> list[tuple[float, np.ndarray]]:
    """Label and BGR picture of ``count`` records, in DALI's order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dali = pytest.importorskip("nvidia.dali", reason="DALI is not installed")
        from nvidia.dali import fn
    pipeline = dali.Pipeline(batch_size=count, num_threads=1, device_id=None)
    with pipeline:
        data, label = fn.readers.mxnet(path=list(map(str, recs)), index_path=[str(idx)], name="reader")
        pipeline.set_outputs(fn.decoders.image(data, device="cpu"), label)
    pipeline.build()
    assert pipeline.epoch_size("reader") == count
    images, labels = pipeline.run()
    return [(float(labels.at(row)[0]), images.at(row)[:, :, ::-1]) for row in range(count)]


def expected(recs: Sequence[Path]) -> list[tuple[float, np.ndarray]]:
    found = []
    for rec in recs:
        with rec.open("rb") as file:
            for header, image in (unpack(record.payload) for record in scan(file)):
                if image:
                    found.append((float(header.label), cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)))
    return found


def assert_same(found: list[tuple[float, np.ndarray]], wanted: list[tuple[float, np.ndarray]]) -> None:
    assert [label for label, _ in found] == [label for label, _ in wanted]
    assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(found, wanted, strict=True))


def files(folder: Path, *counts: int) -> list[Path]:
    """Files of so many records, with keys and labels that go on from one to the next."""
    numbers = iter(range(1000))
    return [
        write_rec(folder / f"{place}.rec", [(key, key, key, smooth_jpeg(key)) for key in islice(numbers, count)])
        for place, count in enumerate(counts)
    ]


@pytest.mark.parametrize("counts", [(3, 4, 2), (1, 1, 1), (5, 1), (1, 5)])
def test_dali_reads_every_picture_of_several_files_with_its_label(counts: tuple[int, ...], tmp_path: Path) -> None:
    recs = files(tmp_path, *counts)
    results = gpu_pack.index(recs, combined=tmp_path / "all.idx")
    assert [result.records for result in results] == list(counts)
    assert {result.idx for result in results} == {str(tmp_path / "all.idx")}
    assert [key for key, _ in entries(tmp_path / "all.rec")] == list(range(sum(counts)))
    assert_same(read_with_dali(recs, tmp_path / "all.idx", sum(counts)), expected(recs))


def test_dali_reads_the_shards_of_a_dataset(packed: Path, tmp_path: Path) -> None:
    idx = tmp_path / "train.idx"
    results = gpu_pack.index(packed / "train*.rec", combined=idx)
    recs = [Path(result.rec) for result in results]
    assert [rec.name for rec in recs] == ["train-00000-of-00002.rec", "train-00001-of-00002.rec"]
    assert_same(read_with_dali(recs, idx, 13), expected(recs))


def test_records_without_a_picture_are_not_for_dali(tmp_path: Path) -> None:
    recs = [insightface(tmp_path / "faces.rec"), write_rec(tmp_path / "more.rec", [(90, 90, 5, smooth_jpeg(1))])]
    first, _ = gpu_pack.index(recs, combined=tmp_path / "all.idx")
    assert (first.records, first.metadata, first.notes[0]["code"]) == (10, 4, "metadata-records")
    assert_same(read_with_dali(recs, tmp_path / "all.idx", 7), expected(recs))


def test_keys_that_come_twice_are_numbered_after_the_largest(tmp_path: Path) -> None:
    recs = [
        write_rec(tmp_path / name, [(key, key, 0, smooth_jpeg(key)) for key in (3, 5)]) for name in ("a.rec", "b.rec")
    ]
    _, second = gpu_pack.index(recs, combined=tmp_path / "all.idx")
    assert [key for key, _ in entries(tmp_path / "all.rec")] == [3, 5, 6, 7]
    assert second.notes[0]["code"] == "keys-changed" and second.notes[0]["count"] == 2
    gpu_pack.index(recs, combined=tmp_path / "all.idx", rekey=True, overwrite=True)
    assert [key for key, _ in entries(tmp_path / "all.rec")] == [0, 1, 2, 3]


def test_what_dali_would_misread_is_refused(packed: Path, tmp_path: Path) -> None:
    recs = files(tmp_path, 2, 2)
    with pytest.raises(UsageError, match=r"the index of .*0\.rec alone"):
        gpu_pack.index(recs, combined=recs[0].with_suffix(".idx"), overwrite=True)
    with pytest.raises(UsageError, match="the splits train, validation: name the files of one"):
        gpu_pack.index(packed, combined=tmp_path / "all.idx")
    (tmp_path / "none.rec").write_bytes(b"")
    with pytest.raises(SourceError, match="holds no picture"):
        gpu_pack.index([recs[0], tmp_path / "none.rec", recs[1]], combined=tmp_path / "all.idx")
    recs[1].write_bytes(recs[1].read_bytes()[:-8])
    with pytest.raises(FormatError, match="cut short"):
        gpu_pack.index(recs, combined=tmp_path / "all.idx")
    (tmp_path / "all.idx").write_text("mine")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        gpu_pack.index(recs[0], combined=tmp_path / "all.idx")


def test_the_command_names_the_files_in_the_order_they_are_read(gpu_pack_command: Run, tmp_path: Path) -> None:
    files(tmp_path, 2, 3)
    done = gpu_pack_command("index", "1.rec", "0.rec", "--combined", "all.idx")
    assert done.stdout.splitlines() == [
        "1.rec: 3 records", "0.rec: 2 records", "all.idx: 5 records of 2 files, to be read in this order"
    ]  # fmt: skip
    done = gpu_pack_command("index", "1.rec", "0.rec", "--combined", "all.idx", "--overwrite", "--json")
    assert [each["records"] for each in json.loads(done.stdout)] == [3, 2]
