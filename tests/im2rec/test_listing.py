"""Listing beyond the goldens: any tree, links, names that no list can carry, folders that cannot be read."""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_pack.errors import OutputError, SourceError
from gpu_pack.im2rec.make_lists import divide, find_images
from tests.im2rec.helpers import make_root, run

EXTS = (".jpg", ".png")
NAMES = st.sampled_from(["a", "b.jpg", "B.JPG", "é.png", "c d.jpg", ".e.jpg", "f.jpg.txt", "z", "-1.png", "..jpg"])
TREES = st.lists(st.lists(NAMES, min_size=1, max_size=4).map("/".join), max_size=12)


def walked(root: Path) -> tuple[list[str], list[int]]:
    """Paths and labels by the rules as they are written down, with `os.walk`."""
    paths, labels, folders = [], [], []
    for folder, below, files in os.walk(root, followlinks=True):
        below.sort()
        for name in sorted(files):
            if os.path.splitext(name.lower())[1] in EXTS and os.path.isfile(os.path.join(folder, name)):
                if folder not in folders:
                    folders.append(folder)
                paths.append(os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/"))
                labels.append(len(folders) - 1)
    return paths, labels


@settings(deadline=None, max_examples=60)
@given(TREES)
def test_any_tree_is_listed_as_walk_meets_it(tree: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path in tree:
            try:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).touch()
            except OSError:  # a name is both a file and a folder
                continue
        found = find_images(str(root), EXTS, recursive=True)
        assert (found.paths, found.labels) == walked(root)
        assert sorted(set(found.labels)) == list(range(len(found.folders)))


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(1, 9), st.floats(0, 1), st.floats(0, 1))
def test_no_image_is_in_two_lists(count: int, chunks: int, train: float, test: float) -> None:
    order = random.Random(count).sample(range(count), count)
    rows = [row for _, part in divide(order, chunks, train, test) for row in part]
    assert len(set(rows)) == len(rows)
    assert set(rows) <= set(order)


def test_the_key_is_the_place_before_the_shuffle(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", [f"{number:02d}.jpg" for number in range(30)])
    assert run("--list", tmp_path / "data", root) == 0
    lines = (tmp_path / "data.lst").read_text().splitlines()
    expected = [f"{number}\t0.000000\t{number:02d}.jpg" for number in range(30)]
    assert lines != expected
    assert sorted(lines, key=lambda line: int(line.split("\t")[0])) == expected


def symlink(link: Path, target: Path) -> None:
    try:
        link.symlink_to(target, target_is_directory=True)
    except OSError as error:
        pytest.skip(f"no links here: {error}")


def test_linked_folders_are_listed_and_circles_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_root(tmp_path / "root", ["a/1.jpg", "b/2.jpg"])
    make_root(tmp_path / "outside", ["3.jpg"])
    symlink(root / "a" / "up", root)
    symlink(root / "b" / "me", root / "b")
    symlink(root / "linked", tmp_path / "outside")
    symlink(root / "dangling.jpg", tmp_path / "nowhere")
    assert run("--list", "--recursive", "--no-shuffle", tmp_path / "data", root) == 0
    paths = [line.split("\t")[2] for line in (tmp_path / "data.lst").read_text().splitlines()]
    assert paths == ["a/1.jpg", "b/2.jpg", "linked/3.jpg"]
    said = capsys.readouterr().err
    assert f"{root / 'a' / 'up'}: leads back" in said
    assert f"{root / 'b' / 'me'}: leads back" in said


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="such names cannot be made there")
@pytest.mark.parametrize("name", [b"tab\there.jpg", b"line\nend.jpg", b"not-utf-8-\xff.jpg", b"return\r.jpg"])
def test_names_that_no_line_can_carry_are_named_and_keep_their_key(
    name: bytes, tmp_path: Path, last_line: Callable[[], str]
) -> None:
    root = make_root(tmp_path / "root", ["0.jpg", "z.jpg"])
    (root / os.fsdecode(name)).write_bytes(b"")
    assert run("--list", "--no-shuffle", tmp_path / "data", root) == 3
    assert (tmp_path / "data.lst").read_bytes() == b"0\t0.000000\t0.jpg\n2\t0.000000\tz.jpg\n"
    assert last_line().endswith("; 1 left out")


def test_what_the_ratios_lose_is_said(tmp_path: Path, last_line: Callable[[], str]) -> None:
    root = make_root(tmp_path / "root", [f"{number}.jpg" for number in range(5)])
    assert run("--list", "--train-ratio", 0.5, "--test-ratio", 0.5, tmp_path / "data", root) == 0
    assert "4 of 5 images" in (said := last_line())
    assert "1 in no list" in said


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere: no such folder"):
        run("--list", tmp_path / "data", tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_no_image_names_the_suffixes_and_the_flag_that_helps(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", ["class/1.jpg"])
    with pytest.raises(SourceError, match=r"no file with suffix .jpeg, .jpg, .png; --recursive"):
        run("--list", tmp_path / "data", root)


def test_a_prefix_in_no_folder(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", ["1.jpg"])
    with pytest.raises(OutputError, match=r"data\.lst"):
        run("--list", tmp_path / "none" / "data", root)
