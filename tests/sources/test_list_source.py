"""Listing: what is an image, in which order, and what a folder may hold besides."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_pack.errors import SourceError
from gpu_pack.sources.folder import list_folder
from gpu_pack.sources.list_source import read_classes
from tests.folders import write_picture


def test_nested_folders_belong_to_their_top_level_class(tmp_path: Path) -> None:
    for name in ("b/z.jpg", "b/sub/deep/a.jpg", "b/a.jpg", "a/1.jpg"):
        write_picture(tmp_path / name, 1)
    listing = list_folder(tmp_path)
    assert listing.paths == ["a/1.jpg", "b/a.jpg", "b/z.jpg", "b/sub/deep/a.jpg"], "own files first, then folders"
    assert [labels[0] for labels in listing.labels] == [0, 1, 1, 1]
    assert list(listing.keys) == [0, 1, 2, 3]
    assert listing.classes == ("a", "b")


def test_what_systems_leave_behind_is_passed_over_in_silence(tmp_path: Path) -> None:
    write_picture(tmp_path / "a/1.jpg", 1)
    for name in ("a/.DS_Store", "a/Thumbs.db", "a/._1.jpg", "__MACOSX/a/1.jpg", ".git/x.jpg", ".DS_Store"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"\0\5")
    listing = list_folder(tmp_path)
    assert listing.paths == ["a/1.jpg"]
    assert listing.skipped == {"hidden folder": 1}


def test_a_picture_is_listed_whatever_dots_its_name_begins_with(tmp_path: Path) -> None:
    for name in ("a/.1.jpg", "a/._2.jpg", ".b/3.jpg"):
        write_picture(tmp_path / name, 1)
    listing = list_folder(tmp_path)
    assert listing.paths == ["a/.1.jpg", "a/._2.jpg"]
    assert listing.skipped == {"hidden folder": 1}, "what is passed over is counted"


def test_loose_images_bear_the_label_of_their_folders_name(tmp_path: Path) -> None:
    write_picture(tmp_path / "bee/1.jpg", 1)
    listing = list_folder(tmp_path / "bee", ("ant", "bee"))
    assert listing.labels == [(1.0,)] and listing.classes == ("ant", "bee")
    with pytest.raises(SourceError, match="'bee' is not among the 2 names of --classes"):
        list_folder(tmp_path / "bee", ("ant", "cat"))
    assert list_folder(tmp_path / "bee").labels == [(0.0,)]


def test_a_link_to_itself_is_a_reject_like_any_file_that_cannot_be_read(tmp_path: Path) -> None:
    write_picture(tmp_path / "a/1.jpg", 1)
    for name in ("a/self.jpg", "a/self.txt", "self"):
        (tmp_path / name).symlink_to((tmp_path / name).name)
    listing = list_folder(tmp_path)
    assert listing.paths == ["a/1.jpg", "a/self.jpg"] and list(listing.sizes)[1] == -1


def test_other_files_are_counted(tmp_path: Path) -> None:
    write_picture(tmp_path / "a/1.jpg", 1)
    for name in ("a/x.txt", "a/y.TXT", "a/none", "labels.csv"):
        (tmp_path / name).write_text("words")
    assert list_folder(tmp_path).skipped == {".txt": 2, "without suffix": 1}, "beside the classes nothing is looked for"


def test_unsupported_pictures_are_listed_so_that_they_become_rejects(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/moving.gif").write_bytes(b"GIF89a\1\0\1\0\0\0\0;")
    assert list_folder(tmp_path).paths == ["a/moving.gif"]


def test_a_class_of_links_to_one_folder_lists_it_once(tmp_path: Path) -> None:
    write_picture(tmp_path / "a/pool/1.jpg", 1)
    for name in ("l1", "l2"):
        (tmp_path / "a" / name).symlink_to(tmp_path / "a/pool", target_is_directory=True)
    listing = list_folder(tmp_path)
    assert listing.paths == ["a/l1/1.jpg"]
    assert listing.skipped == {"linked folder listed already": 2}


def test_deep_folders(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "/".join("d" * 1 for _ in range(300))
    write_picture(deep / "1.jpg", 1)
    assert len(list_folder(tmp_path)) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "no class names"), (b"a\n\nb\n", ":2: a blank line"), (b"a\nb\na\n", ":3: class 'a' stands on line 1")],
)
def test_classes_files_that_cannot_be_right(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "classes.txt").write_bytes(content)
    with pytest.raises(SourceError, match=message):
        read_classes(tmp_path / "classes.txt")


def test_classes_files_of_other_systems(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_bytes(b"\xef\xbb\xbfcat\r\ndog\r\n")
    assert read_classes(tmp_path / "classes.txt") == ("cat", "dog")
