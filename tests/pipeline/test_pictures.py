"""What create tells about pictures, from the files to the report."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from gpu_pack.dataset import RecordDataset
from gpu_pack.recordio import MXIndexedRecordIO, unpack_img
from tests import pictures
from tests.folders import Run
from tests.pictures import jpeg, photo


def write(root: Path, **files: bytes) -> Path:
    (root / "src/a").mkdir(parents=True)
    for name, data in files.items():
        (root / "src/a" / name.replace("_", ".")).write_bytes(data)
    return root / "src"


def report(run: Run, *flags: str) -> dict[str, dict[str, object]]:
    """Notes and warnings of a run, by code."""
    found = json.loads(run("create", "src", "out", "--json", "--device", "cpu", "--overwrite", *flags).stdout)
    return {each["code"]: each for each in found["notes"] + found["warnings"]}


def test_one_factor_for_the_whole_set(tmp_path: Path, gpu_pack_command: Run) -> None:
    dark, bright = np.full((30, 30), 1000, np.uint16), np.full((30, 30), 4095, np.uint16)
    write(tmp_path, a_png=pictures.png(dark), b_tif=pictures.tiff(bright), c_jpg=jpeg(photo(30, 30)))
    assert report(gpu_pack_command)["depth-unused"]["count"] == 2
    flags = ("--depth", "scale", "--encoding", "png", "--color", "gray", "--no-shuffle", "--size", "20")
    assert report(gpu_pack_command, *flags) == {}
    reader = MXIndexedRecordIO(str(tmp_path / "out/train.idx"), str(tmp_path / "out/train.rec"), "r")
    levels = [int(unpack_img(reader.read_idx(key), 0)[1].max()) for key in (0, 1)]
    assert levels == [62, 255]
    assert json.loads((tmp_path / "out/manifest.json").read_text())["options"]["depth_bits"] == 12
    gpu_pack_command("verify", "out")


def test_pass_through_notes_orientations_and_keeps_blemishes(tmp_path: Path, gpu_pack_command: Run) -> None:
    whole = jpeg(photo(60, 40))
    junk = whole[:-2] + b"\1" * 40 + whole[-2:]
    write(tmp_path, a_jpg=jpeg(photo(30, 20), 90, 6), b_jpg=whole, c_jpg=whole[:-2], d_jpg=junk, e_jpg=whole[:-90])
    found = report(gpu_pack_command, "--pass-through", "--damage", "keep")
    assert found["exif-orientation"]["count"] == 1 and found["exif-orientation"]["example"] == "a/a.jpg"
    assert found["blemish-kept"]["count"] == 1
    gpu_pack_command("verify", "out")
    dataset = RecordDataset(tmp_path / "out/train.rec")
    shapes = sorted(image.shape for image, _ in map(dataset.__getitem__, range(4)))
    assert shapes == [(30, 20, 3), (40, 60, 3), (40, 60, 3), (40, 60, 3)], "readers decode what lacked its end marker"
    rejects = [json.loads(line) for line in (tmp_path / "out/rejects.jsonl").read_text().splitlines()]
    assert [(each["path"], each["code"]) for each in rejects] == [("a/e.jpg", "truncated")]


def test_warnings_are_errors_under_strict(tmp_path: Path, gpu_pack_command: Run) -> None:
    write(tmp_path, a_png=pictures.png(np.zeros((20, 20, 4), np.uint8)))
    assert "transparent" in gpu_pack_command("create", "src", "out", "--strict", code=1).stderr
    gpu_pack_command("create", "src", "out", "--strict", "--background", "white")
    assert "--background" in gpu_pack_command("create", "src", "o", "--background", "wite", code=2).stderr


@pytest.mark.skipif(not hasattr(cv2, "imwriteanimation"), reason="this OpenCV writes no animations")
@pytest.mark.parametrize("name", ["a.webp", "a.gif", "a.png"])
def test_frames_of_animations_are_told(tmp_path: Path, gpu_pack_command: Run, name: str) -> None:
    write(tmp_path, b_jpg=jpeg(photo(30, 30)))
    animation = cv2.Animation()  # type: ignore[attr-defined,unused-ignore]
    animation.frames = [photo(40, 30, seed=seed) for seed in range(3)]
    animation.durations = [100, 100, 100]
    assert cv2.imwriteanimation(str(tmp_path / "src/a" / name), animation)  # type: ignore[attr-defined,unused-ignore]
    warning = report(gpu_pack_command, "--formats", "any")["more-pages"]
    assert warning["count"] == 1 and warning["example"] == f"a/{name}"
    done = gpu_pack_command("create", "src", "out", "--strict", "--overwrite", "--formats", "any", code=1)
    assert "further pages or frames" in done.stderr
