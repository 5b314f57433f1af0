"""Detection lists through `gpu-pack create`: what lists, records and reports say of the boxes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import gpu_pack
from gpu_pack import recordio
from gpu_pack.errors import StrictError, UsageError
from gpu_pack.formats.lst import read_list
from gpu_pack.pipeline.options import create_options
from tests.folders import Run, picture, write_picture
from tests.pictures import jpeg
from tests.pipeline.outputs import published
from tests.pipeline.runs import interrupt_after, pack, plan_of

#: 100 x 60: the crop cuts 20 columns on each side.
LINES = (
    "0\t2\t5\t0\t0.1\t0.2\t0.5\t0.6\t1\t0\t0.2\t0.1\t0.7\twide.png\n"
    "1\t4\t5\t60\t100\t1\t0.1\t0.1\t0.9\t0.5\ttall.png\n"
    "2\t4\t5\t80\t80\t1\t0.123456789\t0.1\t0.9\t0.5\tsquare.png\n"
    "3\t2\t5\t0\t0.05\t0.4\t0.1\t0.6\twide.png\n"
    "4\t2\t5\t0\t5\t40\t10\t60\twide.png\n"
    "5\t1\twide.png\n"
    "6\t4\t5\t100\t60\t0\t0.1\t0.2\t0.5\t0.6\tturned.jpg\n"
)


@pytest.fixture
def detections(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    for name, size in (("wide", (100, 60)), ("tall", (60, 100)), ("square", (80, 80))):
        write_picture(folder / f"{name}.png", len(name), width=size[0], height=size[1])
    (folder / "turned.jpg").write_bytes(jpeg(picture(1, 100, 60), 95, 6))
    (folder / "det.lst").write_text(LINES)
    return folder / "det.lst"


def labels(rec: Path) -> dict[int, tuple[float, ...]]:
    """The labels of each record by key, as the records hold them; the list beside them says the same."""
    found = {}
    with recordio.MXIndexedRecordIO(str(rec.with_suffix(".idx")), str(rec), "r") as file:
        for key in file.keys:
            header, _ = recordio.unpack(file.read_idx(key))
            found[key] = tuple(header.label) if header.flag else (header.label,)
    listed = {entry.key: entry.labels for entry in read_list(rec.with_suffix(".lst"))}
    assert {key: listed[key] for key in found} == {key: pytest.approx(values) for key, values in found.items()}
    return found


def test_boxes_move_with_the_crop(detections: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    done = gpu_pack_command("create", detections, "out", "--size", 48, "--json")
    report = json.loads(done.stdout)
    found = labels(tmp_path / "out" / "train.rec")
    assert found == {
        0: pytest.approx((2, 5, 0, 0, 0.2, 0.5, 0.6)),
        1: pytest.approx((4, 5, 48, 48, 1, 0.1, 0, 0.9, 0.5)),
        2: pytest.approx((4, 5, 48, 48, 1, 0.123456789, 0.1, 0.9, 0.5)),
        4: pytest.approx((2, 5, 0, 5, 40, 10, 60)),
        5: (1,),
        6: pytest.approx((4, 5, 48, 48, 0, 0.1, 0, 0.5, 2 / 3), abs=1e-6),
    }
    assert [(each["code"], each["count"], each["example"]) for each in report["notes"]] == [
        ("boxes-dropped", 1, "wide.png")
    ]
    (reject,) = map(json.loads, (tmp_path / "out" / "rejects.jsonl").read_text().splitlines())
    assert (reject["key"], reject["code"], reject["label"][3]) == (3, "no-boxes", 0.05)
    lines = (tmp_path / "out" / "train.lst").read_text().splitlines()
    assert lines[0] == "0\t2\t5\t0\t0\t0.2\t0.5\t0.6\twide.png"
    assert lines[3:6] == LINES.splitlines()[3:6], "rejects and other labels are as they were"
    assert gpu_pack_command("verify", "out").returncode == 0


def test_boxes_that_are_kept_are_a_warning(detections: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    done = gpu_pack_command("create", detections, "out", "--size", 48, "--boxes", "keep")
    assert "warning: pictures cropped without their boxes, which stay as they are: 4, such as wide.png" in done.stderr
    assert (tmp_path / "out" / "train.lst").read_text() == LINES
    assert len(labels(tmp_path / "out" / "train.rec")) == 7
    with pytest.raises(StrictError, match="without their boxes, which stay"):
        gpu_pack.create(detections, tmp_path / "strict", size=48, boxes="keep", strict=True, device="cpu")


def test_pictures_with_boxes_are_refused_where_they_are_cut(detections: Path, tmp_path: Path) -> None:
    report = gpu_pack.create(detections, tmp_path / "out", size=48, boxes="refuse", device="cpu")
    assert report.rejected == 4
    rejects = [json.loads(line) for line in (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()]
    assert [(reject["key"], reject["code"]) for reject in rejects] == [(key, "boxes") for key in (0, 1, 3, 6)]
    assert list(labels(tmp_path / "out" / "train.rec")) == [2, 4, 5]


@pytest.mark.parametrize("how", [{"resize": 48}, {"pass_through": True}])
def test_boxes_stay_where_nothing_is_cut(how: dict[str, Any], detections: Path, tmp_path: Path) -> None:
    detections.write_text("".join(line + "\n" for line in LINES.splitlines() if "\t4\t5\t" not in line))
    report = gpu_pack.create(detections, tmp_path / "out", device="cpu", **how)
    assert report.packed == 4 and not report.notes and not report.warnings
    assert (tmp_path / "out" / "train.lst").read_text() == detections.read_text()
    assert len(labels(tmp_path / "out" / "train.rec")) == 4


@pytest.mark.parametrize("read", [1, 4, 6])
def test_a_run_that_was_interrupted_ends_in_the_same_bytes(read: int, detections: Path, tmp_path: Path) -> None:
    options = create_options(size=48, device="cpu", workers=1, batch_size=1)
    whole = pack(plan_of(detections, tmp_path / "whole", options))
    interrupt_after(detections, tmp_path / "out", read, options)
    resumed = pack(plan_of(detections, tmp_path / "out", options))
    assert published(tmp_path / "out") == published(tmp_path / "whole")
    assert resumed.notes == whole.notes != []


def test_the_mode_is_checked(detections: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose move, keep or refuse"):
        gpu_pack.create(detections, tmp_path / "out", boxes="drop")  # type: ignore[arg-type]
