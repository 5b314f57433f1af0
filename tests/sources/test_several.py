"""Several sources as one set, and a source for each split."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gpu_pack.errors import SourceError
from gpu_pack.sources.list_source import list_source
from gpu_pack.sources.listing import Listing, entries
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.spool import Spool
from gpu_pack.types import Image
from tests.folders import write_picture


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for number, name in enumerate(("a/cat/1.jpg", "a/dog/2.jpg", "b/dog/1.jpg", "b/ant/3.jpg")):
        write_picture(tmp_path / name, number)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def listed(*sources: str, splits: tuple[tuple[str, str], ...] = ()) -> Listing:
    return list_source(sources, SourceOptions(), Spool(None), splits)


def test_several_sources_are_one_set_with_one_list_of_classes(folders: Path) -> None:
    found = listed("a", "b")
    assert found.classes == ("ant", "cat", "dog")
    assert list(zip(found.keys, found.labels, found.paths, strict=True)) == [
        (0, (1.0,), "a/cat/1.jpg"),
        (1, (2.0,), "a/dog/2.jpg"),
        (2, (0.0,), "b/ant/3.jpg"),
        (3, (2.0,), "b/dog/1.jpg"),
    ]
    images = list(found.store.read_many(found.store.ahead(entries(found, found.keys))))
    assert [item.data for item in images if isinstance(item, Image)] == [
        (folders / path).read_bytes() for path in found.paths
    ]
    assert [item.entry for item in images] == [found.entry(row) for row in range(4)]


def test_every_split_may_have_its_own_source(folders: Path) -> None:
    found = listed(splits=(("train", "b"), ("val", str(folders / "a"))))
    assert found.classes == ("ant", "cat", "dog") and found.own_splits is not None
    assert found.own_splits.names == ("train", "val") and list(found.own_splits.rows) == [0, 0, 1, 1]
    assert found.paths[0] == "b/ant/3.jpg" and found.paths[2] == f"{folders}/a/cat/1.jpg"
    assert [notice.code for notice in found.notices] == ["class-untrained"]


def test_a_source_that_is_divided_cannot_be_one_split(folders: Path) -> None:
    (folders / "in").mkdir()
    (folders / "a").rename(folders / "in/train")
    (folders / "b").rename(folders / "in/val")
    with pytest.raises(SourceError, match="in: it is divided already, and cannot be split 'train'"):
        listed(splits=(("train", "in"),))


def test_numbers_and_names_as_labels_do_not_mix(folders: Path) -> None:
    (folders / "b.lst").write_text("0\t3\tb/dog/1.jpg\n")
    with pytest.raises(
        SourceError, match="some labels are names of classes, such as 'cat', and others numbers, such as"
    ):
        listed("a", "b.lst")


@pytest.mark.skipif(sys.platform == "win32", reason="no such names")
def test_a_source_without_one_image_that_can_be_read_says_why(folders: Path) -> None:
    write_picture(folders / "c/cat/new\nline.jpg", 1)
    with pytest.raises(SourceError, match=r"c: none of its 1 images can be packed; the first: cat/new\nline"):
        listed("c")
