"""Listing a folder: what is an image, in which order, and what a folder may hold besides."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_pack.errors import SourceError
from gpu_pack.sources.listing import Listing
from tests.folders import write_picture
from tests.sources.listings import list_one as list_folder


def test_nested_folders_belong_to_their_top_level_class(tmp_path: Path) -> None:
    for name in ("b/z.jpg", "b/sub/deep/a.jpg", "b/a.jpg", "a/1.jpg"):
        write_picture(tmp_path / name, 1)
    listing = list_folder(tmp_path)
    assert listing.paths == ["a/1.jpg", "b/a.jpg", "b/z.jpg", "b/sub/deep/a.jpg"], "own files first, then folders"
    assert [labels[0] for labels in listing.labels] == [0, 1, 1, 1]
    assert list(listing.keys) == [0, 1, 2, 3]
    assert listing.classes == ("a", "b")


def test_system_files_are_ignored(tmp_path: Path) -> None:
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
    assert listing.skipped == {"hidden folder": 1}, "what is skipped is counted"


def test_loose_images_have_the_label_of_their_folders_name(tmp_path: Path) -> None:
    write_picture(tmp_path / "bee/1.jpg", 1)
    listing = list_folder(tmp_path / "bee", ("ant", "bee"))
    assert listing.labels == [(1.0,)] and listing.classes == ("ant", "bee")
    with pytest.raises(SourceError, match="'bee' is not among the 2 names of classes"):
        list_folder(tmp_path / "bee", ("ant", "cat"))
    assert list_folder(tmp_path / "bee").labels == [(0.0,)]


def test_a_link_to_itself_is_a_reject_like_any_file_that_cannot_be_read(tmp_path: Path) -> None:
    write_picture(tmp_path / "a/1.jpg", 1)
    for name in ("a/self.jpg", "a/self.txt"):
        (tmp_path / name).symlink_to((tmp_path / name).name)
    listing = list_folder(tmp_path)
    assert listing.paths == ["a/1.jpg", "a/self.jpg"] and list(listing.sizes)[1] == -1


def test_other_files_are_counted(tmp_path: Path) -> None:
    write_picture(tmp_path / "a/1.jpg", 1)
    for name in ("a/x.txt", "a/y.TXT", "a/none", "labels.csv"):
        (tmp_path / name).write_text("words")
    (tmp_path / "a/x.\r").write_text("words")
    assert list_folder(tmp_path).skipped == {
        ".txt": 2,
        "without suffix": 1,
        ".csv": 1,
        "with a suffix that cannot be printed": 1,
    }


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
    deep = tmp_path / "a" / "/".join(["d"] * 300)
    write_picture(deep / "1.jpg", 1)
    assert len(list_folder(tmp_path)) == 1


def write(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        write_picture(root / name, number)
    return root


def splits_of(listing: Listing) -> dict[str, list[str]]:
    own = listing.own_splits
    assert own is not None and len(own.rows) == len(listing)
    return {
        name: [path for path, row in zip(listing.paths, own.rows, strict=True) if row == number]
        for number, name in enumerate(own.names)
    }


def codes(listing: Listing) -> dict[str, str]:
    return {notice.code: notice.example for notice in listing.notices}


@pytest.mark.parametrize("other", ["val", "valid", "validation", "test", "Test"])
def test_folders_of_splits_have_one_list_of_classes(tmp_path: Path, other: str) -> None:
    train = "Train" if other == "Test" else "train"
    root = write(tmp_path, f"{train}/ant/1.jpg", f"{train}/cat/1.jpg", f"{train}/bee/1.jpg", f"{other}/cat/9.jpg")
    listing = list_folder(root)
    assert listing.classes == ("ant", "bee", "cat")
    assert splits_of(listing) == {
        train: [f"{train}/{name}/1.jpg" for name in ("ant", "bee", "cat")],
        other: [f"{other}/cat/9.jpg"],
    }
    assert dict(zip(listing.paths, listing.labels, strict=True))[f"{other}/cat/9.jpg"] == (2.0,)
    assert sorted(listing.keys) == [0, 1, 2, 3]
    assert codes(listing) == {"presplit": ", ".join(sorted((train, other)))}


def test_a_split_without_class_folders_is_left_out(tmp_path: Path) -> None:
    root = write(tmp_path, "train/ant/1.jpg", "train/bee/1.jpg", "val/bee/2.jpg", "test/1.jpg", "test/2.jpg")
    listing = list_folder(root)
    assert listing.paths == ["train/ant/1.jpg", "train/bee/1.jpg", "val/bee/2.jpg"]
    assert codes(listing) == {"presplit": "train, val", "split-left-out": "test"}


def test_a_class_that_train_lacks_is_a_warning(tmp_path: Path) -> None:
    listing = list_folder(write(tmp_path, "train/bee/1.jpg", "val/ant/1.jpg", "val/bee/2.jpg"))
    assert listing.classes == ("ant", "bee")
    assert codes(listing) == {"presplit": "train, val", "class-untrained": "ant"}


@pytest.mark.parametrize(
    "names",
    [
        ("train/a/1.jpg", "test/a/1.jpg", "bus/1.jpg"),
        ("train/1.jpg", "test/1.jpg", "bus/1.jpg"),
        ("train/1.jpg", "test/1.jpg"),
        ("train/1.jpg", "test/a/1.jpg"),
        ("val/a/1.jpg", "test/a/1.jpg"),
        ("train/a/1.jpg", "train/b/1.jpg"),
    ],
)
def test_folders_that_are_no_splits_are_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    listing = list_folder(write(tmp_path, *names))
    assert listing.classes == tuple(sorted({name.partition("/")[0] for name in names}))
    assert listing.own_splits is None and not listing.notices


@pytest.mark.parametrize("extra", ["dev/ant/1.jpg", "extra/1.jpg"])
def test_what_may_be_splits_or_classes_is_refused(tmp_path: Path, extra: str) -> None:
    names = [f"{split}/{name}/1.jpg" for split in ("train", "val") for name in ("ant", "bee")]
    root = write(tmp_path, *names, extra)
    with pytest.raises(
        SourceError, match=r"same class folders \(ant, bee, \.\.\.\), and .*/ lies beside them.*--layout splits"
    ):
        list_folder(root)
    assert list_folder(root, layout="classes").own_splits is None
    assert list_folder(root, layout="splits").own_splits is not None


def test_the_layout_decides_where_the_guess_would_be_wrong(tmp_path: Path) -> None:
    as_classes = list_folder(write(tmp_path / "a", "train/x/1.jpg", "test/x/1.jpg"), layout="classes")
    assert as_classes.classes == ("test", "train") and as_classes.own_splits is None and not as_classes.notices
    root = write(tmp_path / "b", "day/ant/1.jpg", "night/bee/1.jpg", "dark/1.jpg")
    listing = list_folder(root, layout="splits")
    assert listing.classes == ("ant", "bee")
    assert splits_of(listing) == {"day": ["day/ant/1.jpg"], "night": ["night/bee/1.jpg"]}
    assert codes(listing)["split-left-out"] == "dark"
    assert list_folder(write(tmp_path / "c", "train/x/1.jpg"), layout="splits").classes == ("x",)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("1.jpg",), "it holds no folders"),
        (("a/1.jpg", "b/1.jpg"), "none of its folders has class folders in it"),
        (("a b/x/1.jpg",), "folder 'a b' cannot give a split its name.*: rename it"),
        (("a/x/1.jpg", "a/1.jpg"), "image a/1.jpg lies beside the class folders of split 'a'.*--layout classes"),
        (("a/x/1.jpg", "1.jpg"), "image '1.jpg' lies beside the class folders"),
    ],
)
def test_what_cannot_be_splits_says_why(tmp_path: Path, names: tuple[str, ...], said: str) -> None:
    with pytest.raises(SourceError, match=said):
        list_folder(write(tmp_path, *names), layout="splits")


def test_a_split_or_a_class_without_an_image_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path, "train/ant/1.jpg")
    (root / "val/ant").mkdir(parents=True)
    with pytest.raises(SourceError, match="split 'val' has no image"):
        list_folder(root)
    write(root, "val/ant/2.jpg")
    (root / "val/bee").mkdir()
    with pytest.raises(SourceError, match="class folder 'bee' holds no image"):
        list_folder(root)


def test_classes_of_an_earlier_run_hold_for_every_split(tmp_path: Path) -> None:
    root = write(tmp_path, "train/ant/1.jpg", "val/ant/2.jpg")
    assert list_folder(root, ("bee", "ant")).labels == [(1.0,), (1.0,)]
    with pytest.raises(SourceError, match="class 'ant' is not among the 1 names"):
        list_folder(root, ("bee",))


@pytest.mark.parametrize(
    ("names", "link"),
    [
        (("ant/1.jpg", "cat/1.jpg"), "bee"),
        (("1.jpg", "2.jpg"), "bee"),
        (("train/ant/1.jpg", "val/ant/1.jpg"), "test"),
        (("train/ant/1.jpg", "val/ant/1.jpg"), "val/bee"),
        (("train/1.jpg", "val/ant/1.jpg"), "train/bee"),
    ],
)
def test_a_class_folder_behind_a_dead_link_is_an_error(tmp_path: Path, names: tuple[str, ...], link: str) -> None:
    root = write(tmp_path, *names)
    (root / link).symlink_to("/nowhere/at all", target_is_directory=True)
    with pytest.raises(SourceError, match=f"{link}: a link that leads nowhere"):
        list_folder(root)
    (root / link).unlink()
    (root / link).symlink_to((root / link).name)
    with pytest.raises(SourceError, match=f"{link}: a link that leads nowhere"):
        list_folder(root)


@pytest.mark.parametrize("name", ["2.jpg", "more"])
def test_a_dead_link_to_an_image_or_a_folder_is_a_reject(tmp_path: Path, name: str) -> None:
    (write(tmp_path, "ant/1.jpg") / "ant" / name).symlink_to("nowhere")
    listing = list_folder(tmp_path)
    assert listing.paths == ["ant/1.jpg", f"ant/{name}"] and listing.sizes[1] == -1


def test_a_split_that_links_to_its_own_source_ends(tmp_path: Path) -> None:
    root = write(tmp_path, "train/ant/1.jpg", "val/ant/2.jpg")
    (root / "val/ant/up").symlink_to(root, target_is_directory=True)
    (root / "val/ant/over").symlink_to(root / "val", target_is_directory=True)
    listing = list_folder(root)
    assert listing.paths == ["train/ant/1.jpg", "val/ant/2.jpg"]
    assert listing.skipped == {"linked folder listed already": 2}


@pytest.mark.parametrize(
    ("names", "by_name", "natural", "warned"),
    [
        (["1", "2", "10"], ["1", "10", "2"], ["1", "2", "10"], "10 before 2"),
        (["-1", "-10", "3"], ["-1", "-10", "3"], ["-10", "-1", "3"], "-1 before -10"),
        (["1", "10", "2", "none"], ["1", "10", "2", "none"], ["1", "2", "10", "none"], "10 before 2"),
        (["01", "02", "10"], ["01", "02", "10"], ["01", "02", "10"], None),
        (["0", "1", "2"], ["0", "1", "2"], ["0", "1", "2"], None),
        (["c10", "c2"], ["c10", "c2"], ["c2", "c10"], None),
    ],
)
def test_classes_that_are_numbers(
    tmp_path: Path, names: list[str], by_name: list[str], natural: list[str], warned: str | None
) -> None:
    write(tmp_path, *(f"{name}/1.jpg" for name in names))
    listing = list_folder(tmp_path)
    assert listing.classes == tuple(by_name)
    assert codes(listing) == ({"numeric-classes": warned} if warned else {})
    listing = list_folder(tmp_path, class_order="natural")
    assert listing.classes == tuple(natural) and not listing.notices
    assert [listing.classes[int(label)] + "/1.jpg" for (label,) in listing.labels] == listing.paths
    assert not list_folder(tmp_path, tuple(by_name)).notices, "a classes.txt decides"
