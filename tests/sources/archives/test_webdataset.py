"""WebDataset shards: samples by their names, labels from .cls or JSON."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from gpu_pack.errors import SourceError, UsageError
from gpu_pack.sources.spool import Spool
from tests.sources.archives.making import END, header, labels, listed, member, read_all, refused, tar_bytes, tar_of

JPEG = b"\xff\xd8\xff\xe0" + random.Random(0).randbytes(700)


def shard(path: Path, files: dict[str, bytes]) -> Path:
    path.write_bytes(tar_bytes(files))
    return path


def test_shards_are_one_set_in_their_order(tmp_path: Path) -> None:
    for number in range(3):
        names = [f"{number}{sample:03d}" for sample in (2, 0, 1)]
        files = {f"{name}{end}": data for name in names for end, data in ((".jpg", JPEG), (".cls", b"%d\n" % number))}
        shard(tmp_path / f"shard-{number:06d}.tar", files)
    expected = {
        f"shard-{number:06d}.tar!/{number}{sample:03d}.jpg": float(number)
        for number in range(3)
        for sample in (2, 0, 1)
    }
    found = listed(tmp_path / "shard-{000000..000002}.tar")
    assert labels(found) == expected and list(labels(found)) == list(expected) and found.classes is None
    assert set(read_all(found).values()) == {JPEG}
    assert labels(listed(tmp_path)) == labels(listed(*sorted(tmp_path.iterdir()))) == expected


def test_the_label_may_come_first_and_words_are_classes(tmp_path: Path) -> None:
    files = {
        "a/0.cls": b"dog",
        "a/0.jpg": JPEG,
        "a/0.txt": b"caption",
        "a/1.seg.png": b"",
        "a/1.jpg": JPEG,
        "a/1.cls": b"cat",
    }
    found = listed(shard(tmp_path / "x.tar", files))
    assert labels(found) == {"x.tar!/a/0.jpg": "dog", "x.tar!/a/1.jpg": "cat"} and found.classes == ("cat", "dog")
    assert found.skipped == {".txt": 1, ".seg.png": 1}


@pytest.mark.parametrize(
    ("document", "options", "label"),
    [
        ({"label": 3}, {}, 3.0),
        ({"class": "cat", "width": 3}, {}, "cat"),
        ({"label": 3, "age": 41.5}, {"label_key": "json.age"}, 41.5),
        ({"meta": {"kind": "cat"}}, {"label_key": "json.meta.kind"}, "cat"),
        ({"label": "7"}, {"label_key": "json"}, 7.0),
    ],
)
def test_labels_in_json(tmp_path: Path, document: object, options: dict[str, str], label: object) -> None:
    path = shard(tmp_path / "x.tar", {"0.jpg": JPEG, "0.json": json.dumps(document).encode()})
    assert labels(listed(path, **options)) == {"x.tar!/0.jpg": label}


@pytest.mark.parametrize("order", [("json", "cls", "jpg"), ("cls", "jpg", "json"), ("jpg", "json", "cls")])
def test_a_cls_goes_before_json(tmp_path: Path, order: tuple[str, ...]) -> None:
    data = {"jpg": JPEG, "cls": b"1", "json": b'{"label": 2}'}
    files = {f"{number}.{ending}": data[ending] for number in range(3) for ending in order}
    assert set(labels(listed(shard(tmp_path / "x.tar", files))).values()) == {1.0}


def test_several_values_are_a_label_vector(tmp_path: Path) -> None:
    path = shard(tmp_path / "x.tar", {"0.jpg": JPEG, "0.json": b'{"label": [1, 2.5]}'})
    assert listed(path).labels == [(1.0, 2.5)]


def test_keys_choose_among_files(tmp_path: Path) -> None:
    files = {
        "0.png": JPEG + b"png",
        "0.jpg": JPEG,
        "0.cls": b"1",
        "0.age.txt": b"9",
        "1.jpg": JPEG,
        "1.png": JPEG,
        "1.cls": b"2",
    }
    path = shard(tmp_path / "x.tar", files)
    assert list(labels(listed(path))) == ["x.tar!/0.png", "x.tar!/1.png"]  # the first sample's first
    assert labels(listed(path, image_key="jpg")) == {"x.tar!/0.jpg": 1.0, "x.tar!/1.jpg": 2.0}
    found = listed(path, label_key="age.txt")
    assert labels(found) == {"x.tar!/0.png": 9.0} and list(refused(found)) == ["x.tar!/1.png"]
    with pytest.raises(SourceError, match=r"no sample has a label, looked for as label_key=json\.x \(--label-key\)"):
        listed(path, label_key="json.x")


def test_samples_that_lack_something_are_counted(tmp_path: Path) -> None:
    files = {
        "0.jpg": JPEG, "0.cls": b"1", "1.jpg": JPEG, "2.cls": b"2", "3.jpg": JPEG, "3.cls": b" ",
        "4.jpg": JPEG, "4.cls": b"16777217", "5.jpg": JPEG, "5.cls": b"x" * 300,
        "6.jpg": JPEG, "6.cls": b"caf\xe9",
    }  # fmt: skip
    found = listed(shard(tmp_path / "x.tar", files))
    assert list(labels(found)) == ["x.tar!/0.jpg"] and found.skipped == {"sample without an image": 1}
    reasons = refused(found)
    assert {code for code, _ in reasons.values()} == {"no-label"}
    assert reasons["x.tar!/1.jpg"][1] == "its sample has no label (cls)"
    assert reasons["x.tar!/3.jpg"][1] == "its label is empty"
    assert reasons["x.tar!/4.jpg"][1] == "its label 16777217.0 is none that a record can hold"
    assert reasons["x.tar!/5.jpg"][1].startswith("its label is no name of a class")
    assert reasons["x.tar!/6.jpg"][1] == "its label is not UTF-8 at byte 3"
    with pytest.raises(SourceError, match=r"no sample has a label that can be used, such as 6.cls: .* not UTF-8"):
        listed(shard(tmp_path / "y.tar", {"6.jpg": JPEG, "6.cls": b"caf\xe9"}))


def test_files_of_a_sample_that_lie_apart(tmp_path: Path) -> None:
    files = {"0.jpg": JPEG, "1.jpg": JPEG, "0.cls": b"5", "1.cls": b"6"}
    assert labels(listed(shard(tmp_path / "x.tar", files))) == {"x.tar!/0.jpg": 5.0, "x.tar!/1.jpg": 6.0}


def test_samples_with_the_same_name(tmp_path: Path) -> None:
    twice = member("0.jpg", JPEG) + member("0.jpg", JPEG + b"x") + member("0.cls", b"1")
    again = member("1.jpg", JPEG) + member("1.cls", b"2") + member("0.jpg", JPEG) + member("0.cls", b"3")
    (tmp_path / "x.tar").write_bytes(twice + again + END)
    found = listed(tmp_path / "x.tar")
    assert labels(found) == {"x.tar!/0.jpg": 1.0, "x.tar!/1.jpg": 2.0}
    assert [each.code for each in found.rejects] == ["duplicate"] * 2


def test_hostile_members(tmp_path: Path) -> None:
    bad = member("../3.jpg", JPEG) + member("4.jpg", JPEG) + header("4.cls", 5 << 20) + bytes(5 << 20)
    link = header("5.jpg", 0, b"2", b"/etc/passwd") + member("5.cls", b"1") + member("6.jpg", JPEG)
    deep = member("6.json", b"[" * 100_000) + member("._0.jpg", b"x")
    (tmp_path / "x.tar").write_bytes(member("0.jpg", JPEG) + member("0.cls", b"1") + bad + link + deep + END)
    found = listed(tmp_path / "x.tar")
    assert list(labels(found)) == ["x.tar!/0.jpg"]
    assert {path.rpartition("!/")[2]: code for path, (code, _) in refused(found).items()} == {
        "../3.jpg": "name", "4.jpg": "no-label", "5.jpg": "unreadable", "6.jpg": "no-label",
    }  # fmt: skip


def test_a_damaged_shard_costs_its_samples(tmp_path: Path) -> None:
    data = bytearray(tar_bytes({f"{n}{end}": body for n in range(9) for end, body in ((".jpg", JPEG), (".cls", b"1"))}))
    data[data.index(b"4.jpg")] ^= 1
    (tmp_path / "x.tar").write_bytes(data)
    found = listed(tmp_path / "x.tar")
    assert len(found) == 8 and [each.code for each in found.notices] == ["archive-damaged"]


def test_compressed_shards_are_recognised_and_spooled(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, data in (("0.jpg", JPEG), ("0.cls", b"3")):
        (tmp_path / "in" / name).write_bytes(data)
    path = tar_of(tmp_path / "in", tmp_path / "x.tar.gz", "w:gz")
    with Spool(tmp_path / "spool") as spool:
        found = listed(path, spool=spool)
        assert labels(found) == {"x.tar.gz!/0.jpg": 3.0} and set(read_all(found).values()) == {JPEG}
    assert labels(listed(path)) == {"x.tar.gz!/0.jpg": 3.0}


def test_json_beside_pictures_in_class_folders_is_no_webdataset(tmp_path: Path) -> None:
    files = {
        f"{name}/0{end}": data for name in ("ant", "bee") for end, data in ((".jpg", JPEG), (".json", b'{"w": 1}'))
    }
    assert listed(shard(tmp_path / "x.tar", files)).classes == ("ant", "bee")


def test_keys_are_about_webdataset(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/1.jpg").write_bytes(JPEG)
    with pytest.raises(UsageError, match=r"label_key=cls \(--label-key\) is about webdataset sources"):
        listed(tmp_path, label_key="cls")


def test_further_images_of_samples_are_counted(tmp_path: Path) -> None:
    files = {}
    for name in "012":
        files |= {f"{name}.jpg": JPEG, f"{name}.png": JPEG, f"{name}.cls": b"1"}
    found = listed(shard(tmp_path / "x.tar", files))
    assert list(labels(found)) == ["x.tar!/0.jpg", "x.tar!/1.jpg", "x.tar!/2.jpg"]
    (note,) = found.notices
    assert (note.code, note.count, note.example) == ("sample-images", 3, "x.tar!/0.png beside .jpg")
