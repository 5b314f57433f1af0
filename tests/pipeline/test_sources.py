"""What `gpu-pack create` says of sources that are split, numbered or listed in other ways."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import gpu_pack
from gpu_pack.formats.lst import read_list
from tests.folders import Run, write_picture
from tests.pipeline.outputs import published


@pytest.fixture
def divided(tmp_path: Path) -> Path:
    """train has three classes, val two of them, and test none."""
    root = tmp_path / "divided"
    for number, name in enumerate(("train/ant", "train/bee", "train/cat", "val/ant", "val/cat", "test")):
        for image in range(4):
            write_picture(root / name / f"{image}.jpg", 10 * number + image)
    return root


def codes(found: list[dict[str, object]]) -> list[object]:
    return [each["code"] for each in found]


def test_a_source_that_is_divided_already(divided: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    done = gpu_pack_command("create", divided, "out", "--size", 16, "--shards", 2)
    assert "note: the source is divided already, and its folders become splits" in done.stderr
    assert "note: split folders without class folders are left out: test" in done.stderr
    out = tmp_path / "out"
    assert (out / "classes.txt").read_text() == "ant\nbee\ncat\n"
    entries = {
        split: [entry for number in range(2) for entry in read_list(out / f"{split}-0000{number}-of-00002.lst")]
        for split in ("train", "val")
    }
    assert {split: len(found) for split, found in entries.items()} == {"train": 12, "val": 8}
    for split, found in entries.items():
        assert all(entry.path.startswith(f"{split}/{('ant', 'bee', 'cat')[int(entry.labels[0])]}/") for entry in found)
    assert sorted(entry.key for found in entries.values() for entry in found) == list(range(20))
    manifest = json.loads((out / "manifest.json").read_text())
    assert codes(manifest["notes"]) == ["presplit", "split-left-out"] and not manifest["warnings"]
    assert gpu_pack.verify(out).ok


def test_split_beside_a_division_explains_itself(divided: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    for options in ([], ["--layout", "splits"]):
        done = gpu_pack_command("create", divided, "out", "--split", "train=1", *options, code=2)
        assert "is divided already, into train, val: leave --split out" in done.stderr and "--layout" in done.stderr
    done = gpu_pack_command(
        "create", divided, "out", "--layout", "classes", "--split", "a=0.5", "--split", "b=0.5", "--dry-run", "--json"
    )
    report = json.loads(done.stdout)
    assert report["classes"] == 3 and list(report["splits"]) == ["a", "b"] and not report["notes"]
    gpu_pack_command("create", divided / "train", "out", "--split", "a=0.5", "--split", "b=0.5", "--dry-run")
    with pytest.raises(gpu_pack.UsageError, match="--layout"):
        gpu_pack.create(divided, tmp_path / "out", layout="folders")  # type: ignore[arg-type]


def test_a_resumed_run_is_the_same_run(divided: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    gpu_pack_command("create", divided, "out", "--size", 16)
    done = gpu_pack_command("create", divided, "out", "--size", 16, "--layout", "classes", code=1)
    assert "options.layout was auto, is classes" in done.stderr
    gpu_pack_command("create", divided, "asked", "--size", 16, "--layout", "splits")
    one, other = published(tmp_path / "out"), published(tmp_path / "asked")
    assert one["train.rec"] == other["train.rec"] and one["val.lst"] == other["val.lst"]


def test_small_classes_are_told_and_strict_refuses_them(photos: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    write_picture(photos / "dog/1.jpg", 99)
    halves = ["--split", "train=0.5", "--split", "val=0.5", "--size", 16]
    done = gpu_pack_command("create", photos, "out", *halves, "--json")
    report = json.loads(done.stdout)
    assert codes(report["warnings"]) == ["classes-missing"]
    assert (report["warnings"][0]["count"], report["warnings"][0]["example"]) == (1, "1 from val")
    assert report["splits"]["train"]["labels"]["3"] == 1 and "3" not in report["splits"]["val"]["labels"]
    gpu_pack_command("create", photos, "strict", *halves, "--strict", code=1)
    assert not (tmp_path / "strict").exists()


def test_classes_that_are_numbers(gpu_pack_command: Run, tmp_path: Path) -> None:
    for name in ("1", "2", "10"):
        write_picture(tmp_path / "numbers" / name / "1.jpg", int(name))
    done = gpu_pack_command("create", "numbers", "out", "--size", 16)
    assert "warning: class folders with whole numbers" in done.stderr and "10 before 2: --class-order" in done.stderr
    assert (tmp_path / "out/classes.txt").read_text() == "1\n10\n2\n"
    done = gpu_pack_command("create", "numbers", "natural", "--size", 16, "--class-order", "natural", "--strict")
    assert "warning" not in done.stderr
    assert (tmp_path / "natural/classes.txt").read_text() == "1\n2\n10\n"


def test_a_list_from_a_spreadsheet(photos: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    text = "id,label,path\r\n1,0,ant\\00.jpg\r\n2,1,bee\\00.jpg\r\n"
    (tmp_path / "my.lst").write_bytes(text.encode("utf-16"))
    done = gpu_pack_command("create", "my.lst", "out", "--root", photos, "--size", 16)
    assert "the list was read as key, label, path separated by commas below a header line in UTF-16" in done.stderr
    assert "note: paths of the list with backslashes between folders: 2, such as ant\\00.jpg" in done.stderr
    assert (tmp_path / "out/train.lst").read_text() == "1\t0\tant/00.jpg\n2\t1\tbee/00.jpg\n"
