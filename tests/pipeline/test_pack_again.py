"""`gpu-pack create` from .rec files: packed again in another size, split or order, or record for record the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import gpu_pack
from gpu_pack.pipeline.create import plan
from gpu_pack.pipeline.options import create_options
from gpu_pack.recordio import scan, unpack
from gpu_pack.sources.spool import Spool
from gpu_pack.types import Encoded
from tests.folders import Run, write_photos, write_picture
from tests.pipeline.outputs import published
from tests.pipeline.runs import Killed, pack, watched
from tests.sources.test_records import simple, with_magic
from tests.tools.datasets import smooth_jpeg
from tests.tools.foreign_records import insightface, write_rec


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty pictures in two splits of two shards."""
    folder = tmp_path_factory.mktemp("packed")
    gpu_pack.create(
        write_photos(folder / "photos"), folder / "out", size=28, shards=2, splits={"train": 0.7, "val": 0.3}
    )
    return folder / "out"


def images(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        return [unpack(record.payload)[1] for record in scan(file)]


def test_another_size_is_what_transform_makes_of_the_stored_pictures(packed: Path, tmp_path: Path) -> None:
    report = gpu_pack.create(packed / "train-00000-of-00002.rec", tmp_path / "out", size=16, color="gray", quality=80)
    stored = images(packed / "train-00000-of-00002.rec")
    made = gpu_pack.transform(stored, size=16, color="gray", quality=80)
    assert images(tmp_path / "out/train.rec") == [each.data for each in made if isinstance(each, Encoded)]
    listed = (packed / "train-00000-of-00002.lst").read_text()
    assert (tmp_path / "out/train.lst").read_text() == listed and "ant/" in listed
    assert (tmp_path / "out/classes.txt").read_text() == "ant\nbee\ncat\n"
    assert [note["code"] for note in report.notes] == ["re-encoded"]
    assert [warning["code"] for warning in report.warnings] == ["records-incomplete"], "one of two shards"
    assert gpu_pack.verify(tmp_path / "out").ok


def test_passed_through_without_a_split_the_records_are_the_same(packed: Path, tmp_path: Path) -> None:
    shards = sorted(packed.glob("train-*.rec"))
    report = gpu_pack.create(shards, tmp_path / "out", pass_through=True, shards=2)
    assert not report.notes and not report.warnings
    for name in ("train-00000-of-00002", "train-00001-of-00002"):
        for suffix in (".rec", ".idx", ".lst"):
            assert (tmp_path / "out" / (name + suffix)).read_bytes() == (packed / (name + suffix)).read_bytes()


def test_records_of_others_pass_through_unchanged(tmp_path: Path) -> None:
    labels = [[0.1, 2.5], [1.0, -7.0], [3.0, 1e20]]
    path = write_rec(tmp_path / "own.rec", ((9 - key, 9 - key, labels[key], smooth_jpeg(key)) for key in range(3)))
    gpu_pack.create(path, tmp_path / "out", pass_through=True)
    assert (tmp_path / "out/train.rec").read_bytes() == path.read_bytes()
    assert (tmp_path / "out/train.idx").read_bytes() == path.with_suffix(".idx").read_bytes()
    assert (tmp_path / "out/train.lst").read_text().splitlines()[0] == "9\t0.1\t2.5\town.rec!/9"
    assert gpu_pack.verify(tmp_path / "out").ok


def test_a_dataset_keeps_its_splits_or_is_divided_anew(packed: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    done = gpu_pack_command("create", packed, "same", "--size", 16, "--json")
    report = json.loads(done.stdout)
    assert {name: split["packed"] for name, split in report["splits"].items()} == {"train": 21, "val": 9}
    done = gpu_pack_command("create", packed, "anew", "--size", 16, "--split", "a=0.5", "--split", "b=0.5")
    assert (
        "note: the splits of the records are given up, as --split divides all of them anew: train, val" in done.stderr
    )
    manifest = json.loads((tmp_path / "anew/manifest.json").read_text())
    assert {name: split["labels"] for name, split in manifest["splits"].items()} == {
        name: {"0": 5, "1": 5, "2": 5} for name in ("a", "b")
    }
    gpu_pack_command("verify", "same", "anew")
    gpu_pack_command(
        "create", "swapped", "--split", f"train={packed}/val-*.rec", "--split", f"val={packed}/train-*.rec",
        "--pass-through",
    )  # fmt: skip
    assert len(images(tmp_path / "swapped/train.rec")) == 9
    done = gpu_pack_command("create", "x", "--split", f"train={packed}", code=1)
    assert "is divided already, and cannot be split 'train'" in done.stderr


def test_boxes_move_with_the_crop(tmp_path: Path) -> None:
    write_picture(tmp_path / "wide.png", 1, width=80, height=40)
    (tmp_path / "my.lst").write_text("4\t2\t5\t1\t0.3\t0.2\t0.5\t0.6\twide.png\n")
    gpu_pack.create(tmp_path / "my.lst", tmp_path / "whole", resize=40)
    gpu_pack.create(tmp_path / "whole", tmp_path / "again", size=20, strict=True)
    assert (tmp_path / "again/train.lst").read_text() == "4\t2\t5\t1\t0.1\t0.2\t0.5\t0.6\twide.png\n"


def test_records_and_a_list_are_one_set(tmp_path: Path, gpu_pack_command: Run) -> None:
    simple(tmp_path / "a.rec", range(3))
    (tmp_path / "b.lst").write_text("0\t5\tb.jpg\n")
    (tmp_path / "b.jpg").write_bytes(smooth_jpeg(9))
    gpu_pack_command("create", "a.rec", "b.lst", "out", "--pass-through", "--no-shuffle")
    assert images(tmp_path / "out/train.rec") == [smooth_jpeg(key) for key in (0, 1, 2, 9)]
    assert (tmp_path / "out/train.lst").read_text().splitlines()[2:] == ["2\t0\ta.rec!/2", "3\t5\tb.jpg"]


def test_damage_and_metadata_are_in_the_account(tmp_path: Path, gpu_pack_command: Run) -> None:
    path = insightface(tmp_path / "train.rec")
    data = bytearray(path.read_bytes())
    begins = [int(line.split("\t")[1]) for line in path.with_suffix(".idx").read_text().splitlines()]
    data[begins[3]] ^= 1
    path.write_bytes(data)
    done = gpu_pack_command("create", "train.rec", "out", "--size", 16)
    assert "records without a picture, taken for metadata: 4, such as key 0 of train.rec" in done.stderr
    assert "5 packed, 1 rejected" in done.stderr
    (line,) = (tmp_path / "out/rejects.jsonl").read_text().splitlines()
    reject = json.loads(line)
    assert (reject["path"], reject["code"]) == (f"train.rec!/byte {begins[3]}", "damaged")
    gpu_pack_command("verify", "out")
    gpu_pack_command("create", "train.rec", "strict", "--strict", code=1)


def test_a_dry_run_writes_nothing(packed: Path, tmp_path: Path) -> None:
    report = gpu_pack.create(packed, tmp_path / "out", dry_run=True, size=16)
    assert (report.listed, report.classes, report.dry_run) == (30, 3, True) and not (tmp_path / "out").exists()
    assert [note["code"] for note in report.notes] == ["re-encoded"]


def test_a_run_that_was_killed_ends_in_the_same_bytes(tmp_path: Path) -> None:
    pictures = [with_magic(key) if key % 3 else smooth_jpeg(key) for key in range(12)]
    path = write_rec(tmp_path / "in.rec", ((key, key, key % 2, image) for key, image in enumerate(pictures)))
    options = create_options(size=16, device="cpu", workers=1, batch_size=1)

    def run(out: Path, most: int | None = None) -> None:
        def die(number: int, _: object) -> None:
            if number == most:
                raise Killed

        with Spool(out / "spool") as spool:
            pack(watched(plan([str(path)], out, options, spool), die))

    run(tmp_path / "whole")
    with pytest.raises(Killed):
        run(tmp_path / "out", 7)
    run(tmp_path / "out")
    assert published(tmp_path / "out") == published(tmp_path / "whole")
