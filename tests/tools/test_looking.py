"""`inspect --sheet` and `inspect --record`."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from gpu_pack.errors import SourceError
from gpu_pack.tools.findings.pictures import read_headers
from gpu_pack.tools.locate import locate
from gpu_pack.tools.report.record import find_record
from gpu_pack.tools.report.samples import choose_rows, read_samples
from gpu_pack.tools.report.sheet import draw_sheet
from tests.folders import Run
from tests.tools import foreign_records
from tests.tools.datasets import smooth_jpeg


def test_a_sheet_shows_every_class(dataset: Path, tmp_path: Path, gpu_pack_command: Run) -> None:
    (dataset / "classes.txt").write_text("a very long name that no picture is wide enough for\n\x1b[2Jß名\n")
    done = gpu_pack_command("inspect", dataset, "--sheet", "sheet.png")
    assert "sheet.png: 16 pictures" in done.stderr and done.stdout == ""
    pixels = cv2.imread(str(tmp_path / "sheet.png"))
    assert pixels.shape == (3 * 138 + 8, 6 * 120 + 8, 3)
    drawn = (pixels < 200).any(axis=2)
    assert drawn[20:100, 8:120].any() and drawn[120:138, 8:120].any(), "a picture, and its class below"
    drawn = json.loads(gpu_pack_command("inspect", dataset, "--sheet", "other.jpg", "--json").stdout)
    assert drawn == {"file": "other.jpg", "pictures": 16, "width": pixels.shape[1], "height": pixels.shape[0]}


def test_a_sheet_that_cannot_be(dataset: Path, tmp_path: Path, gpu_pack_command: Run) -> None:
    assert "suffixes .png" in gpu_pack_command("inspect", dataset, "--sheet", "sheet.txt", code=2).stderr
    assert gpu_pack_command("inspect", dataset, "--sheet", "nowhere/sheet.png", code=1).stderr
    empty = foreign_records.write_rec(tmp_path / "empty.rec", [])
    with pytest.raises(SourceError, match="no picture in it"):
        draw_sheet(empty, tmp_path / "sheet.png")


def test_samples_are_spread_over_classes_and_bounded(tmp_path: Path) -> None:
    records = [(key, key, float(key % 3 if key < 90 else key), smooth_jpeg(key % 7)) for key in range(100)]
    pictures = read_headers(locate(foreign_records.write_rec(tmp_path / "some.rec", records)).targets)
    rows = choose_rows(pictures, 40, 5)
    assert len(rows) == 3 * 3 + 10, "of forty, thirteen labels get three each"
    assert rows[:3] == [0, 42, 87] and max(rows) == 99
    assert len(choose_rows(pictures, 2, 5)) == 2
    pictures.labels = type(pictures.labels)("f", np.linspace(0, 1, 100))
    assert choose_rows(pictures, 3, 1) == [0, 49, 99], "measurements are one class"
    assert {each.key for each in read_samples(pictures, [0, 99]).values()} == {0, 99}


def test_one_record(dataset: Path, gpu_pack_command: Run) -> None:
    line = (dataset / "train-00001-of-00002.lst").read_text().splitlines()[0]
    key, label, path = line.split("\t")
    text = gpu_pack_command("inspect", dataset, "--record", key).stdout
    assert f"path      {path}" in text and "jpeg, 24 x 24" in text
    (found,) = json.loads(gpu_pack_command("inspect", dataset, "--record", key, "--json").stdout)
    assert (found["key"], found["path"], found["labels"]) == (int(key), path, [float(label)])
    assert (found["class"], found["split"], found["offset"]) == (f"class {label}", "train", 0)
    assert "no record has the key 99" in gpu_pack_command("inspect", dataset, "--record", 99, code=1).stderr
    assert gpu_pack_command("inspect", dataset, "--record", 1, "--sheet", "a.png", code=2).stderr


def test_records_of_others(tmp_path: Path, gpu_pack_command: Run) -> None:
    faces = foreign_records.insightface(tmp_path / "faces" / "train.rec")
    (zero,) = find_record(faces, 0)
    assert zero.metadata and zero.labels == [7, 10] and zero.path is None
    assert "no picture: metadata" in gpu_pack_command("inspect", faces, "--record", 0).stdout
    path = foreign_records.without_ids(tmp_path / "ids.rec")
    assert "12 (id 0 in the record)" in gpu_pack_command("inspect", path, "--record", 12).stdout
