"""Tars as sources: the same images, classes and splits as the folders that they were made from."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from gpu_pack.errors import SourceError
from gpu_pack.sources.spool import Spool
from tests.folders import write_picture
from tests.sources.archives.making import (
    END,
    header,
    labels,
    listed,
    member,
    pax,
    read_all,
    refused,
    tar_bytes,
    tar_of,
    with_checksum,
)

JPEG = b"\xff\xd8\xff\xe0 not read here"


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_dialect_lists_as_its_folder(tmp_path: Path, format_: int) -> None:
    deep = "/".join(["a-long-name-of-a-folder"] * 8)
    names = ["ant/1.jpg", f"ant/{deep}/2.jpg", "bee/" + "long" * 23 + ".jpg", "bee/ohne-endung", "bee/notes.txt"]
    if format_ != tarfile.USTAR_FORMAT:
        names += ["bee/größe.jpg", "bee/" + "x" * 200 + ".jpg", "bee/" + "ü" * 100 + ".jpg"]
    folder = tmp_path / "photos"
    for number, name in enumerate(names):
        write_picture((folder / name).with_suffix(".jpg"), number)
        (folder / name).with_suffix(".jpg").rename(folder / name)
    (folder / "bee/notes.txt").write_bytes(b"text")
    with tarfile.open(tmp_path / "photos.tar", "w", format=format_) as tar:
        for file in sorted(folder.rglob("*"), reverse=True):
            tar.add(file, "./" + file.relative_to(folder).as_posix(), recursive=False)
    found, expected = listed(tmp_path / "photos.tar"), listed(folder)
    assert [path.removeprefix("photos.tar!/") for path in found.paths] == expected.paths
    assert (found.labels, found.classes, found.sizes) == (expected.labels, expected.classes, expected.sizes)
    assert found.skipped == expected.skipped == {".txt": 1}
    assert list(read_all(found).values()) == list(read_all(expected).values())
    assert set(found.versions) == {(tmp_path / "photos.tar").stat().st_mtime_ns} and not found.notices


def test_large_sizes_and_old_headers(tmp_path: Path) -> None:
    old = member("cat/1.jpg", JPEG, type_=b"\0", ustar=False)
    block = bytearray(header("cat/2.jpg"))
    block[124:136] = b"\x80" + len(JPEG).to_bytes(11, "big")  # base 256
    signed = bytearray(header("cat/\xff.jpg".encode("latin-1") + b"\xc3\xa9", len(JPEG)))
    signed[148:156] = b"%06o\0 " % (sum(signed[:148] + signed[156:]) + 256 - 256 * 3)  # as writers with signed bytes
    data = JPEG + bytes(-len(JPEG) % 512)
    path = tmp_path / "old.tar"
    path.write_bytes(
        old + with_checksum(block) + data + pax(path="cat/3.jpg", size=str(len(JPEG)), mtime="1.5") + header("x") + data
        + bytes(signed) + data + END
    )  # fmt: skip
    found = listed(path)
    assert found.paths == [f"old.tar!/cat/{number}.jpg" for number in (1, 2, 3)]
    assert set(read_all(found).values()) == {JPEG} and not found.notices


def test_a_tar_of_a_folder_has_its_classes_below(tmp_path: Path) -> None:
    for name in ("ant/1.jpg", "bee/2.jpg", "bee/sub/3.jpg"):
        write_picture(tmp_path / "photos" / name, 1)
    found = listed(tar_of(tmp_path / "photos", tmp_path / "x.tar", top="data/photos/"))
    assert found.classes == ("ant", "bee") and found.paths[2] == "x.tar!/data/photos/bee/sub/3.jpg"
    assert [(each.code, each.example) for each in found.notices] == [("archive-root", "data/photos")]
    one_class = listed(tar_of(tmp_path / "photos/ant", tmp_path / "y.tar", top="ant/"))
    assert one_class.classes == ("ant",) and not one_class.notices


def test_splits_inside_of_an_archive_and_one_archive_a_split(tmp_path: Path) -> None:
    for name in ("train/ant/1.jpg", "train/bee/1.jpg", "val/ant/2.jpg"):
        write_picture(tmp_path / "photos" / name, 1)
    found = listed(tar_of(tmp_path / "photos", tmp_path / "x.tar"))
    assert found.own_splits is not None and found.own_splits.names == ("train", "val")
    only = tar_of(tmp_path / "photos/train", tmp_path / "y.tar", top="data/train/")
    one = listed(only, layout="splits").own_splits
    assert one is not None and one.names == ("train",)
    for split in ("train", "val"):
        tar_of(tmp_path / "photos" / split, tmp_path / f"{split}.tar", top=f"{split}/")
    both = listed(tmp_path / "{train,val}.tar")
    assert both.own_splits == found.own_splits and both.paths[-1] == "val.tar!/val/ant/2.jpg"


def test_a_flat_tar_is_one_class_and_several_need_labels(tmp_path: Path) -> None:
    one = tar_bytes({"1.jpg": JPEG})
    for name in ("part-0.tar", "part-1.tar", "cats.tar", "dogs.tar", "n01440764.tar", "n01443537.tar"):
        (tmp_path / name).write_bytes(one)
    alone = listed(tmp_path / "part-0.tar")
    assert alone.classes == ("part-0",) and [each.code for each in alone.notices] == ["archives-as-classes"]
    with pytest.raises(SourceError, match="are those of parts, not of classes: --labels FILE gives"):
        listed(tmp_path / "part-*.tar")
    assert listed(tmp_path / "part-*.tar", layout="classes").classes == ("part-0", "part-1")
    found = listed(tmp_path / "cats.tar", tmp_path / "dogs.tar")
    assert labels(found) == {"cats.tar!/1.jpg": "cats", "dogs.tar!/1.jpg": "dogs"}
    assert [(each.code, each.count) for each in found.notices] == [("archives-as-classes", 2)]
    assert listed(tmp_path / "n*.tar").classes == ("n01440764", "n01443537")


def test_flat_tars_get_the_labels_of_a_file(tmp_path: Path) -> None:
    for number in range(2):
        files = {f"{number}{image}.jpg": JPEG for image in range(2)}
        (tmp_path / f"val-{number}.tar").write_bytes(tar_bytes(files) + member("/etc/x.jpg", JPEG) + END)
    (tmp_path / "labels.csv").write_text("image,label\n00.jpg,7\n01.jpg,8\n10.jpg,9\n11.jpg,7\n")
    found = listed(tmp_path / "val-{0,1}.tar", labels=[str(tmp_path / "labels.csv")])
    assert list(labels(found).values()) == [7.0, 8.0, 9.0, 7.0]
    assert [each.code for each in found.rejects] == ["name", "name"]
    alone = listed(tmp_path / "val-0.tar", labels=[str(tmp_path / "labels.csv")])
    assert [each.code for each in alone.notices] == ["table-columns", "labels-unused"]


def test_a_folder_of_tars_is_a_set(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for number in range(2):
        (tmp_path / f"set/{number}.tar").write_bytes(tar_bytes({f"c{number}/1.jpg": JPEG}))
    (tmp_path / "set/README.md").write_text("text")
    found = listed(tmp_path / "set")
    assert found.classes == ("c0", "c1") and found.paths == ["0.tar!/c0/1.jpg", "1.tar!/c1/1.jpg"]
    write_picture(tmp_path / "set/cat/1.jpg", 1)  # class folders with an archive left beside them
    assert listed(tmp_path / "set").classes == ("cat",)


def test_imagenets_tar_of_tars(tmp_path: Path) -> None:
    inner = {name: tar_bytes({f"{name}_1.JPEG": JPEG + name.encode()}) for name in ("n02", "n01")}
    (tmp_path / "train.tar").write_bytes(tar_bytes({f"{name}.tar": data for name, data in inner.items()}))
    found = listed(tmp_path / "train.tar")
    assert labels(found) == {
        "train.tar!/n01.tar!/n01_1.JPEG": "n01",
        "train.tar!/n02.tar!/n02_1.JPEG": "n02",
    }
    assert list(read_all(found).values()) == [JPEG + b"n01", JPEG + b"n02"]
    assert {entry.container.path for entry in filter(None, map(found.places.__getitem__, (0, 1)))} == {"train.tar"}
    (tmp_path / "both.tar").write_bytes(
        tar_bytes({f"{split}/{name}.tar": data for name, data in inner.items() for split in ("train", "val")})
    )
    splits = listed(tmp_path / "both.tar").own_splits
    assert splits is not None and splits.names == ("train", "val")


def test_inner_tars_that_are_compressed_are_spooled(tmp_path: Path) -> None:
    write_picture(tmp_path / "cat/1.jpg", 1)
    tar_of(tmp_path / "cat", tmp_path / "cat.tar.xz", "w:xz")
    outer = tmp_path / "x.tar"
    outer.write_bytes(
        tar_bytes({"dog.tar": tar_bytes({"2.jpg": JPEG}), "cat.tar.xz": (tmp_path / "cat.tar.xz").read_bytes()})
    )
    with Spool(tmp_path / "spool") as spool:
        found = listed(outer, spool=spool)
        assert labels(found) == {"x.tar!/cat.tar.xz!/1.jpg": "cat", "x.tar!/dog.tar!/2.jpg": "dog"}
        assert list(read_all(found).values()) == [(tmp_path / "cat/1.jpg").read_bytes(), JPEG]
    assert listed(outer).paths == found.paths and not (tmp_path / "spool").exists()


def test_hard_links_are_the_data_of_their_member(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    links = header("bee/2.jpg", 7, b"1", b"./ant/1.jpg") + header("bee/3.jpg", 0, b"1", b"nothing")
    path.write_bytes(member("./ant/1.jpg", JPEG) + links + END)
    found = listed(path)
    assert list(read_all(found)) == ["x.tar!/ant/1.jpg", "x.tar!/bee/2.jpg"]
    assert set(read_all(found).values()) == {JPEG}
    assert refused(found) == {
        "x.tar!/bee/3.jpg": ("missing", "a hard link to nothing, which is no file of the archive")
    }


def test_the_last_of_several_members_with_a_name_counts(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(member("cat/1.jpg", JPEG + b"old") + member("./cat//1.jpg", JPEG) + END)
    found = listed(path)
    assert read_all(found) == {"x.tar!/cat/1.jpg": JPEG}
    assert refused(found)["x.tar!/cat/1.jpg"][0] == "duplicate" and found.listed == 2


def test_an_empty_tar_and_a_folder_without_images_are_said(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(bytes(10240))
    with pytest.raises(SourceError, match=r"x\.tar: no images found: there are no files"):
        listed(tmp_path / "x.tar")
    (tmp_path / "y.tar").write_bytes(header("bee/", type_=b"5") + member("ant/1.jpg", JPEG) + END)
    with pytest.raises(SourceError, match="class folder 'bee' holds no image"):
        listed(tmp_path / "y.tar")
