"""merge: pictures, labels, keys and names of several datasets in one."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import pytest

import gpu_pack
from gpu_pack.errors import FormatError, OutputError, OutputExistsError, SourceError, UsageError
from gpu_pack.formats.lst import read_list
from gpu_pack.output.staging import Staging
from gpu_pack.recordio import MAGIC, MXIndexedRecordIO, frame, frame_image, scan, unpack
from gpu_pack.recordio.framing import pack_header
from gpu_pack.tools.copy_report import Copied
from gpu_pack.types import Progress
from tests.folders import Run, write_picture
from tests.tools.datasets import faults_of, images, smooth_jpeg
from tests.tools.foreign_records import entries, insightface, joined, protobuf, write_rec


def pack(folder: Path, out: str, classes: dict[str, int], **options: object) -> Path:
    """A dataset with so many pictures of each class; no two pictures of a test are alike."""
    seeds = iter(range(1000 * ord(out), 1000 * ord(out) + 1000))
    for name, count in classes.items():
        for number in range(count):
            write_picture(folder / f"{out}-photos" / name / f"{number}.png", next(seeds))
    keywords = {"size": 16, "device": "cpu", "workers": 1, **options}
    gpu_pack.create(folder / f"{out}-photos", folder / out, **keywords)  # type: ignore[arg-type]
    return folder / out


def contents(*recs: Path) -> dict[int, tuple[object, bytes]]:
    """Label and picture by id; no id comes twice."""
    found: dict[int, tuple[object, bytes]] = {}
    for rec in recs:
        with rec.open("rb") as file:
            for header, image in (unpack(record.payload) for record in scan(file)):
                assert header.id not in found
                found[header.id] = (header.label, image)
    return found


def codes(report: Copied) -> dict[str, int]:
    return {each["code"]: each["count"] for each in [*report.notes, *report.warnings]}


@pytest.fixture
def pets(tmp_path: Path) -> tuple[Path, Path]:
    """Two datasets with other classes, numbers and splits."""
    a = pack(tmp_path, "a", {"cat": 6, "dog": 6}, splits={"train": 0.5, "val": 0.5})
    b = pack(tmp_path, "b", {"ant": 3, "dog": 5}, shards=2)
    return a, b


def test_splits_classes_and_pictures_of_two_datasets_become_one(pets: tuple[Path, Path], tmp_path: Path) -> None:
    report = gpu_pack.merge(pets, tmp_path / "out")
    assert (tmp_path / "out/classes.txt").read_text() == "cat\ndog\nant\n", "the first one's numbers stay"
    assert {name: (count.packed, count.labels) for name, count in report.splits.items()} == {
        "train": (14, {"0": 3, "1": 8, "2": 3}),
        "val": (6, {"0": 3, "1": 3}),
    }
    assert sorted(images(tmp_path / "out")) == sorted([*images(pets[0]), *images(pets[1])])
    checked = gpu_pack.verify(tmp_path / "out")
    assert checked.ok and checked.records == 20, faults_of(checked)
    assert codes(report) == {"keys-changed": 8, "labels-changed": 3}  # dog is 1 in both


def test_names_decide_which_label_a_picture_gets(pets: tuple[Path, Path], tmp_path: Path) -> None:
    gpu_pack.merge(reversed(pets), tmp_path / "out")
    names = (tmp_path / "out/classes.txt").read_text().split()
    assert names == ["ant", "dog", "cat"]
    for split in ("train", "val"):
        paths = {entry.key: entry.path for entry in read_list(tmp_path / f"out/{split}.lst")}
        for key, (label, _) in contents(tmp_path / f"out/{split}.rec").items():
            assert isinstance(label, float) and names[int(label)] == paths[key].split("/")[0]


def test_shards_of_a_set_come_in_their_order_however_they_are_named(pets: tuple[Path, Path], tmp_path: Path) -> None:
    shards = sorted(pets[1].glob("*.rec"))
    whole = b"".join(path.read_bytes() for path in shards)
    folder = Path(shutil.copytree(pets[1], tmp_path / "bare", ignore=shutil.ignore_patterns("manifest.json")))
    for number, given in enumerate(([pets[1]], [folder], [folder / "train-*.rec"], sorted(folder.glob("*.rec"))[::-1])):
        report = gpu_pack.merge(given, tmp_path / f"out{number}")
        assert (tmp_path / f"out{number}/train.rec").read_bytes() == whole, "nothing is changed that need not be"
        assert report.renumbered == report.relabelled == 0
    (folder / shards[0].name).unlink()
    with pytest.raises(SourceError, match="only 1 of 2 shards of train"):
        gpu_pack.merge(folder, tmp_path / "torn")


def test_keys_stay_where_they_are_unique_and_rekey_numbers_all(tmp_path: Path) -> None:
    write_rec(tmp_path / "a.rec", [(key, key, 0, smooth_jpeg(key)) for key in (3, 9, 5)])
    write_rec(tmp_path / "b.rec", [(key, key, 1, smooth_jpeg(10 + key)) for key in (9, 7)])
    files = [tmp_path / "a.rec", tmp_path / "b.rec"]
    report = gpu_pack.merge(files, tmp_path / "kept")
    assert [key for key, _ in entries(tmp_path / "kept/train.rec")] == [3, 9, 5, 10, 7]
    assert report.renumbered == 1 and "key 9 of" in report.notes[0]["message"]
    gpu_pack.merge(files, tmp_path / "anew", rekey=True)
    assert list(contents(tmp_path / "anew/train.rec")) == [0, 1, 2, 3, 4]
    with MXIndexedRecordIO(tmp_path / "anew/train.idx", tmp_path / "anew/train.rec", "r") as file:
        assert unpack(file.read_idx(3))[1] == smooth_jpeg(19)
    assert gpu_pack.verify(tmp_path / "kept").ok and gpu_pack.verify(tmp_path / "anew").ok


def test_files_of_other_programs(tmp_path: Path) -> None:
    joined(tmp_path / "joined.rec")
    write_rec(tmp_path / "ids.rec", [(10 + key, 0, 0.1, smooth_jpeg(key)) for key in range(3)])
    (tmp_path / "ids.lst").write_text("10\t0.1\tsome/where.jpg\n")
    faces = insightface(tmp_path / "faces.rec")
    report = gpu_pack.merge([tmp_path / "joined.rec", tmp_path / "ids.rec", faces], tmp_path / "out")
    assert (report.records, report.metadata) == (15, 4)
    assert codes(report) == {"keys-changed": 5, "metadata-left-out": 4, "no-manifest": 3}
    listed = list(read_list(tmp_path / "out/train.lst"))
    assert [entry.key for entry in listed[:9]] == [0, 1, 2, 3, 4, 5, 10, 11, 12]
    assert listed[0].path == "0/0.jpg" and listed[6][:3] == (10, (0.1,), "some/where.jpg")
    assert gpu_pack.verify(tmp_path / "out").ok


def test_the_names_of_files_say_their_splits(tmp_path: Path) -> None:
    for number, name in enumerate(("birds_train", "birds_val", "more-train", "extra")):
        write_rec(tmp_path / f"{name}.rec", [(number, number, number, smooth_jpeg(number))])
    files = sorted(tmp_path.glob("*.rec"))
    assert {name: count.packed for name, count in gpu_pack.merge(files, tmp_path / "out").splits.items()} == {
        "train": 3,
        "val": 1,
    }
    assert [*gpu_pack.merge(files, tmp_path / "all", split="all").splits] == ["all"]


def test_detection_lists_keep_their_boxes_and_get_the_class_of_the_name(tmp_path: Path) -> None:
    boxes = [2, 5, 0, 0.25, 0.25, 0.5, 0.5, 1, 0, 0, 1, 1]
    for name, classes in (("a", "cat\ndog\n"), ("b", "dog\ncat\n")):
        write_rec(tmp_path / name / "train.rec", [(ord(name), ord(name), boxes, smooth_jpeg(ord(name)))])
        (tmp_path / name / "classes.txt").write_text(classes)
    gpu_pack.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    first, second = (list(label) for label, _ in contents(tmp_path / "out/train.rec").values())  # type: ignore[call-overload]
    assert first == boxes
    assert second == [2, 5, 1, 0.25, 0.25, 0.5, 0.5, 0, 0, 0, 1, 1]
    checked = gpu_pack.verify(tmp_path / "out")
    assert checked.ok, faults_of(checked)


def test_the_manifest_says_where_the_records_came_from(pets: tuple[Path, Path], tmp_path: Path) -> None:
    report = gpu_pack.merge(pets, tmp_path / "out")
    found = json.loads((tmp_path / "out/manifest.json").read_text())
    assert found["inputs"] == report.inputs and found["command"]["name"] == "merge"
    published = json.loads((pets[1] / "manifest.json").read_text())["files"]["train-00001-of-00002.rec"]
    assert {name: found["inputs"][3][name] for name in ("sha256", "bytes")} == published
    assert found["options"]["size"] == 16, "all were packed alike"
    seen = gpu_pack.inspect(tmp_path / "out")
    assert seen.ok and seen.packed_by == {"copied": 20}
    other = pack(tmp_path, "c", {"cat": 3}, size=20)
    mixed = gpu_pack.merge([*pets, other], tmp_path / "mixed")
    assert [each["message"] for each in mixed.warnings if "size 16 and 20" in each["message"]]
    assert gpu_pack.verify(tmp_path / "mixed").ok


def test_names_and_numbers_for_labels_do_not_mix(pets: tuple[Path, Path], tmp_path: Path) -> None:
    other = write_rec(tmp_path / "other.rec", [(1, 1, 0, smooth_jpeg(1))])
    with pytest.raises(SourceError, match=r"other\.rec has numbers for labels, and .* names"):
        gpu_pack.merge([pets[0], other], tmp_path / "out")
    named = write_rec(tmp_path / "named/other.rec", [(1, 1, 2, smooth_jpeg(1))])
    named.with_name("classes.txt").write_text("cat\ndog\n")
    with pytest.raises(FormatError, match="key 1: its label 2 is none of the 2 classes"):
        gpu_pack.merge([pets[0], named], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_input_is_named_and_nothing_is_published(pets: tuple[Path, Path], tmp_path: Path) -> None:
    rec, out = pets[1] / "train-00001-of-00002.rec", tmp_path / "out"
    whole = rec.read_bytes()
    rec.write_bytes(whole[:-4])
    with pytest.raises(FormatError, match=r"train-00001-of-00002.rec: at byte \d+: the record is cut short"):
        gpu_pack.merge(pets, out)
    rec.write_bytes(whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:])
    with pytest.raises(SourceError, match="its bytes are not those that its manifest tells of"):
        gpu_pack.merge(pets, out)
    rec.write_bytes(whole)
    (pets[1] / "train-00001-of-00002.idx").write_text("0\t0\n")
    with pytest.raises(FormatError, match=r"\.idx"):
        gpu_pack.merge(pets, out)
    rec.rename(tmp_path / "elsewhere.rec")
    with pytest.raises(SourceError, match="no such file"):
        gpu_pack.merge(pets, out)
    with pytest.raises(FormatError, match="protobuf"):
        gpu_pack.merge(protobuf(tmp_path / "proto.rec"), out)
    swallowing = pack_header(0, 0.0, 1, 0) + b"x" * 40 + frame_image(2, (0.0,), b"y" * 40)
    (tmp_path / "long.rec").write_bytes(struct.pack("<II", MAGIC, len(swallowing)) + swallowing)
    with pytest.raises(FormatError, match="a magic number that should have split it"):
        gpu_pack.merge(tmp_path / "long.rec", out)
    (tmp_path / "long.rec").write_bytes(frame(swallowing))
    assert gpu_pack.merge(tmp_path / "long.rec", out).records == 1, "one that did split it is no damage"


def test_outputs_that_would_destroy_something_are_refused(pets: tuple[Path, Path], tmp_path: Path) -> None:
    before = sorted(path.name for path in pets[0].iterdir())
    for out in (pets[0], pets[0] / "inner", tmp_path):
        with pytest.raises(UsageError, match="lie in one another"):
            gpu_pack.merge(pets, out, overwrite=True)
    with pytest.raises(UsageError, match="web servers are only read"):
        gpu_pack.merge(pets, "https://host/out")
    with pytest.raises(UsageError, match="named twice"):
        gpu_pack.merge([pets[0], pets[0] / "train.rec"], tmp_path / "out")
    assert sorted(path.name for path in pets[0].iterdir()) == before
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"mine\.txt is there already"):
        gpu_pack.merge(pets, tmp_path / "out")
    with pytest.raises(OutputError, match="in the way"):
        gpu_pack.merge(pets, tmp_path / "out/mine.txt")
    assert (tmp_path / "out/mine.txt").read_text() == "mine" and len([*(tmp_path / "out").iterdir()]) == 1


def test_overwriting_removes_what_the_earlier_one_published(pets: tuple[Path, Path], tmp_path: Path) -> None:
    gpu_pack.merge(pets, tmp_path / "out")
    gpu_pack.merge(pets[1], tmp_path / "out", overwrite=True)
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir() if path.stem == "val") == []
    assert gpu_pack.verify(tmp_path / "out").ok


def test_an_interrupted_merge_leaves_nothing_and_a_killed_one_begins_anew(
    pets: tuple[Path, Path], tmp_path: Path
) -> None:
    def interrupt(state: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gpu_pack.merge(pets, tmp_path / "out", on_progress=interrupt)
    assert not (tmp_path / "out").exists()
    with Staging(tmp_path / "out") as staging:
        staging.begin({"command": {"name": "merge"}}, {"train.rec.partial": b"the half of it"}, [])
    gpu_pack.merge(pets, tmp_path / "out")
    assert gpu_pack.verify(tmp_path / "out").ok and not (tmp_path / "out/.gpu-pack").exists()


def test_the_command(gpu_pack_command: Run, pets: tuple[Path, Path]) -> None:
    done = gpu_pack_command("merge", *pets, "out")
    assert "train: 14 records in train.rec" in done.stderr and done.stdout == ""
    assert "note: records with another key than before: 8" in done.stderr
    done = gpu_pack_command("merge", *pets, "out", "--overwrite", "--quiet", "--json")
    assert json.loads(done.stdout)["records"] == 20 and done.stderr == ""
    assert "name the inputs, then the output" in gpu_pack_command("merge", "out", code=2).stderr
    assert "no such file or folder" in gpu_pack_command("merge", "nowhere", "new", code=1).stderr
