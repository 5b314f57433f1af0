"""divide: one dataset as several files or splits."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

import gpu_pack
from gpu_pack.errors import FormatError, SourceError, UsageError
from gpu_pack.formats.lst import read_list
from gpu_pack.tools.division import DivideBy, parse_by
from tests.folders import Run
from tests.tools.datasets import faults_of, images, smooth_jpeg
from tests.tools.foreign_records import entries, insightface, write_rec


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two splits of three classes: 24 and 6 records."""
    from tests.folders import write_photos

    root = tmp_path_factory.mktemp("divide")
    gpu_pack.create(
        write_photos(root / "photos"),
        root / "out",
        size=16,
        splits={"train": 0.8, "val": 0.2},
        shards=2,
        device="cpu",
        workers=1,
    )
    return root / "out"


def check(out: Path, records: int) -> None:
    checked = gpu_pack.verify(out)
    assert checked.ok and checked.records == records, faults_of(checked)


def keys(rec: Path) -> list[int]:
    return [key for key, _ in entries(rec)]


def test_a_count_fills_files_in_the_records_order(photos: Path, tmp_path: Path) -> None:
    report = gpu_pack.divide(photos, tmp_path / "out", "count=10")
    names = [f"train-0000{number}-of-00003.rec" for number in range(3)]
    assert {name: count.shards for name, count in report.splits.items()} == {"train": names, "val": ["val.rec"]}
    before = [*keys(photos / "train-00000-of-00002.rec"), *keys(photos / "train-00001-of-00002.rec")]
    parts = [keys(tmp_path / "out" / name) for name in names]
    assert [len(part) for part in parts] == [10, 10, 4] and [key for part in parts for key in part] == before
    assert report.renumbered == 0
    check(tmp_path / "out", 30)


def test_a_size_bounds_every_file(photos: Path, tmp_path: Path) -> None:
    report = gpu_pack.divide(photos, tmp_path / "out", "size=4KiB", split="train")
    sizes = [(tmp_path / "out" / name).stat().st_size for name in report.splits["train"].shards]
    assert len(sizes) > 3 and max(sizes) <= 4096 and min(sizes[:-1]) > 2048
    assert images(tmp_path / "out") == images(photos, "train*.rec")
    check(tmp_path / "out", 24)
    report = gpu_pack.divide(photos, tmp_path / "single", "size=1", split="val")
    assert len(report.splits["val"].shards) == 6, "a record that is larger has a file of its own"


def test_labels_have_a_file_each_called_by_a_safe_name(photos: Path, tmp_path: Path) -> None:
    report = gpu_pack.divide(photos, tmp_path / "out", "label")
    assert report.splits["train"].shards == ["train-ant.rec", "train-bee.rec", "train-cat.rec"]
    assert {entry.labels for entry in read_list(tmp_path / "out/val-bee.lst")} == {(1.0,)}
    assert all(entry.path.startswith("bee/") for entry in read_list(tmp_path / "out/train-bee.lst"))
    check(tmp_path / "out", 30)
    rec = write_rec(tmp_path / "odd/train.rec", [(key, key, key % 3, smooth_jpeg(key)) for key in range(6)])
    rec.with_name("classes.txt").write_text("a/b\nA:B\na_b\n")
    (shards,) = (count.shards for count in gpu_pack.divide(rec, tmp_path / "safe", "label").splits.values())
    assert len({name.casefold() for name in shards}) == 3 and not any(set(name) & set("/:") for name in shards)
    check(tmp_path / "safe", 6)


def test_fractions_share_every_label(photos: Path, tmp_path: Path) -> None:
    report = gpu_pack.divide(photos, tmp_path / "out", "fraction=a=.5,b=1/4", split="train")
    assert {name: count.labels for name, count in report.splits.items()} == {
        "a": {"0": 4, "1": 4, "2": 4},
        "b": {"0": 2, "1": 2, "2": 2},
    }
    assert report.left_out == 6
    order = {key: place for place, key in enumerate(keys(photos / "train-00000-of-00002.rec"))}
    places = [order[key] for key in keys(tmp_path / "out/a.rec") if key in order]
    assert places == sorted(places), "the order stays"
    check(tmp_path / "out", 18)
    with pytest.raises(UsageError, match="there are splits already, train, val"):
        gpu_pack.divide(photos, tmp_path / "no", "fraction=a=.5")


def test_shuffling_mixes_the_records_the_same_way_each_time(photos: Path, tmp_path: Path) -> None:
    orders = []
    for name, by, seed in (("a", "count=24", 1), ("b", "count=24", 1), ("c", "count=24", 2), ("d", "fraction=x=1", 1)):
        report = gpu_pack.divide(photos, tmp_path / name, by, split="train", shuffle=True, seed=seed)
        check(tmp_path / name, 24)
        (shards,) = (count.shards for count in report.splits.values())
        orders.append(keys(tmp_path / name / shards[0]))
    before = [*keys(photos / "train-00000-of-00002.rec"), *keys(photos / "train-00001-of-00002.rec")]
    assert orders[0] == orders[1] != orders[2] and before not in orders
    assert all(sorted(order) == sorted(before) for order in orders)


def test_what_was_divided_is_the_same_again_when_it_is_merged(photos: Path, tmp_path: Path) -> None:
    gpu_pack.divide(photos, tmp_path / "parts", "count=7")
    gpu_pack.merge(tmp_path / "parts", tmp_path / "whole")
    shards = [(photos / f"train-0000{number}-of-00002.rec").read_bytes() for number in (0, 1)]
    assert (tmp_path / "whole/train.rec").read_bytes() == b"".join(shards)
    lists = [(photos / f"train-0000{number}-of-00002.lst").read_bytes() for number in (0, 1)]
    assert (tmp_path / "whole/train.lst").read_bytes() == b"".join(lists)


def test_a_bare_file_of_another_program(tmp_path: Path) -> None:
    faces = insightface(tmp_path / "faces/train.rec")
    report = gpu_pack.divide(faces, tmp_path / "out", "label")
    assert report.splits["train"].shards == ["train-0.rec", "train-1.rec", "train-2.rec"]
    assert (report.records, report.metadata) == (6, 4)
    assert {each["code"] for each in report.notes} == {"metadata-left-out", "no-manifest"}
    check(tmp_path / "out", 6)
    faces.write_bytes(faces.read_bytes()[:-4])
    with pytest.raises(FormatError, match="cut short"):
        gpu_pack.divide(faces, tmp_path / "torn", "label")
    boxes = write_rec(tmp_path / "boxes.rec", [(1, 1, [2, 5, 0, 0, 0, 1, 1], smooth_jpeg(1))])
    with pytest.raises(UsageError, match="holds detection lists"):
        gpu_pack.divide(boxes, tmp_path / "boxes", "label")
    (tmp_path / "none.rec").write_bytes(b"")
    with pytest.raises(SourceError, match="there is no record"):
        gpu_pack.divide(tmp_path / "none.rec", tmp_path / "none", "count=3")


def test_how_to_divide_is_read_as_people_write_it() -> None:
    assert parse_by("size=256MiB") == DivideBy("size", 256 << 20)
    assert [parse_by(f"size={text}").number for text in ("1GB", "1.5 kb", "7", "2g")] == [10**9, 1500, 7, 2 * 10**9]
    assert parse_by("count=1000") == DivideBy("count", 1000)
    assert parse_by("fraction=train=.9,val=.1").fractions == ("train=.9", "val=.1")
    for text in (
        "",
        "labels",
        "label=3",
        "count",
        "count=0",
        "count=-1",
        "count=1.5",
        "size=big",
        "size=0",
        "fraction",
    ):
        with pytest.raises(UsageError, match="--by"):
            parse_by(text)


def test_the_command(gpu_pack_command: Run, photos: Path) -> None:
    done = gpu_pack_command("divide", photos, "out", "--by", "count=8", "--json", "--quiet")
    assert Counter({name: count["packed"] for name, count in json.loads(done.stdout)["splits"].items()}) == {
        "train": 24,
        "val": 6,
    }
    done = gpu_pack_command("divide", photos, "two", "--by", "fraction=a=.5,b=.5", "--split", "train")
    assert "a: 12 records in a.rec" in done.stderr
    for flags in (["--by", "fraction=a=2"], ["--by", "fraction=a"], ["--by", "label", "--no-stratify"], []):
        done = gpu_pack_command("divide", photos, "three", *flags, code=2)
        assert len(done.stderr.splitlines()) == 1 and "(--split)" not in done.stderr
    assert (
        "no split 'test'" in gpu_pack_command("divide", photos, "x", "--by", "label", "--split", "test", code=1).stderr
    )


def test_an_address_that_is_to_be_divided_is_named_as_given(gpu_pack_command: Run) -> None:
    done = gpu_pack_command("divide", "s3://bucket/in", "out", "--by", "label", code=2)
    assert "s3://bucket/in: divide reads files on this machine" in done.stderr
