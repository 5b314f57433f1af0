"""What cannot be packed as asked: one clear sentence, the right exit status, and no files left behind."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.folders import Run, write_picture


def check(done: object, *needles: str) -> None:
    text = done.stderr  # type: ignore[attr-defined]
    assert text.count("\n") == 1, f"one line: {text}"
    for needle in needles:
        assert needle in text


def test_out_inside_source(photos: Path, gpu_pack_command: Run) -> None:
    check(gpu_pack_command("create", photos, photos / "out", code=2), "lies inside the source")
    check(gpu_pack_command("create", photos, photos, code=2), "lies inside the source")


def test_sources_that_hold_nothing(gpu_pack_command: Run, tmp_path: Path) -> None:
    check(gpu_pack_command("create", "nowhere", "out", code=1), "nowhere: no such folder")
    (tmp_path / "empty").mkdir()
    check(gpu_pack_command("create", "empty", "out", code=1), "empty: no images found", "no files")
    (tmp_path / "empty/readme.md").write_text("x")
    (tmp_path / "empty/data.csv").write_text("x")
    check(gpu_pack_command("create", "empty", "out", code=1), "1 .md", "1 .csv", "none of them JPEG")
    assert not (tmp_path / "out").exists()


def test_an_empty_class(photos: Path, gpu_pack_command: Run) -> None:
    (photos / "dog").mkdir()
    check(gpu_pack_command("create", photos, "out", code=1), "class folder 'dog' holds no image")


def test_loose_images_beside_classes(photos: Path, gpu_pack_command: Run) -> None:
    write_picture(photos / "stray.jpg", 1)
    check(gpu_pack_command("create", photos, "out", code=1), "'stray.jpg' lies beside the class folders")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot hold both names")
def test_classes_whose_names_collide(photos: Path, gpu_pack_command: Run) -> None:
    write_picture(photos / "caf\u00e9" / "1.jpg", 1)
    write_picture(photos / "cafe\u0301" / "1.jpg", 2)
    check(gpu_pack_command("create", photos, "out", code=1), "same name in two Unicode spellings")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot hold such names")
def test_names_that_no_list_can_carry(photos: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    for name in (b"a\tb.jpg", b"a\nb.jpg", b"\xff.jpg", b" blank.jpg", b"-dash.jpg"):
        source = photos / "ant/00.jpg"
        os.link(source, os.fsencode(photos / "bee") + b"/" + name)
    done = gpu_pack_command("create", photos, "out", code=0)
    assert "32 packed, 3 rejected" in done.stderr
    rejects = (tmp_path / "out/rejects.jsonl").read_text()
    assert "a tab" in rejects and "a line feed" in rejects and "not UTF-8" in rejects
    check(gpu_pack_command("create", photos, "strict", "--strict", code=1), "bee/")
    os.mkdir(os.fsencode(photos) + b"/new\nline")
    check(gpu_pack_command("create", photos, "out2", code=1), "classes.txt")


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        ("1\t0\tant/00.jpg\n2\tx\tant/01.jpg\n", "list.lst:2: "),
        ("1\t0\tant/00.jpg\n2\tant/01.jpg\n", "list.lst:2: "),
        ("1\t0\tant/00.jpg\n1\t0\tant/01.jpg\n", "list.lst:2: key 1"),
        ("1\t16777217\tant/00.jpg\n", "list.lst:1: "),
        ("-1\t0\tant/00.jpg\n", "list.lst:1: "),
        ("3470205706\t0\tant/00.jpg\n", "list.lst:1: "),
        ("1\t0\t../secret.jpg\n", "has '..' in it"),
        ("1\t0\t/etc/hostname\n", "leads out of"),
        ("1\t0\tant/../../secret.jpg\n", "has '..' in it"),
        ("", "the list is empty"),
        ("\x00\x01\x02", "list.lst:1: "),
    ],
)
def test_lists_that_do_not_parse(photos: Path, gpu_pack_command: Run, tmp_path: Path, text: str, needle: str) -> None:
    (tmp_path / "list.lst").write_text(text)
    check(gpu_pack_command("create", "list.lst", "out", "--root", photos, code=1), needle)
    assert not (tmp_path / "out").exists()


def test_paths_out_of_the_root_can_be_allowed(photos: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    (tmp_path / "list.lst").write_text(f"1\t0\t../photos/ant/00.jpg\n2\t0\t{photos}/ant/01.jpg\n")
    gpu_pack_command("create", "list.lst", "out", "--root", photos / "bee", "--allow-outside", code=0)
    assert (tmp_path / "out/rejects.jsonl").read_text().count("no such file") == 1


def test_absolute_paths_below_the_root_lead_nowhere_else(photos: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    (tmp_path / "list.lst").write_text(f"1\t0\t{photos}/ant/00.jpg\n")
    gpu_pack_command("create", "list.lst", "out", "--root", "photos")
    (tmp_path / "list.lst").write_text(f"1\t0\t{photos}-other/00.jpg\n")
    check(gpu_pack_command("create", "list.lst", "out2", "--root", "photos", code=1), "leads out of photos")


def test_options_about_lists_are_refused_for_folders(photos: Path, gpu_pack_command: Run) -> None:
    for options in (("--root", photos), ("--allow-outside",)):
        check(gpu_pack_command("create", photos, "out", *options, code=2), str(options[0]), "is a folder")


def test_nothing_that_can_be_packed_is_no_dataset(gpu_pack_command: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "list.lst").write_text("1\t0\tant/00.jpg\n2\t0\tant/01.jpg\n")
    (tmp_path / "elsewhere").mkdir()
    done = gpu_pack_command("create", "list.lst", "out", "--root", "elsewhere", code=1)
    check(done, "none of its 2 images can be packed", "the first: ant/00.jpg, at read: no such file")
    assert not list((tmp_path / "out").glob("*"))
    gpu_pack_command("create", "list.lst", "out", "--root", photos)
    before = (tmp_path / "out/train.rec").read_bytes()
    gpu_pack_command("create", "list.lst", "out", "--root", "elsewhere", "--overwrite", code=1)
    assert (tmp_path / "out/train.rec").read_bytes() == before, "good records are not replaced by none"


def test_missing_lists_and_roots(photos: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    check(gpu_pack_command("create", "no.lst", "out", code=1), "no.lst: no such folder or file")
    (tmp_path / "a.lst").write_text("1\t0\tx.jpg\n")
    check(gpu_pack_command("create", "a.lst", "out", "--root", "nowhere", code=1), "nowhere: no such folder")
    check(gpu_pack_command("create", photos / "ant/00.jpg", "out", code=1), "no folder, list, table, archive")
    check(gpu_pack_command("create", photos, "out", "--classes", "no.txt", code=1), "no.txt")


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_an_output_that_cannot_be_written(photos: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    check(gpu_pack_command("create", photos, "closed/out", code=1), "no permission to write")


def test_an_output_that_is_a_file(photos: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    check(gpu_pack_command("create", photos, "out", code=1), "in the way of the output folder")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_pipes_loops_and_devices_in_the_source(photos: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    os.mkfifo(photos / "ant/pipe.jpg")
    (photos / "ant/device.jpg").symlink_to("/dev/zero")
    (photos / "bee/loop").symlink_to(photos / "bee")
    (photos / "bee/up").symlink_to(photos)
    (photos / "cat/other").symlink_to(photos / "ant")
    gpu_pack_command("create", photos, "out")
    rejects = (tmp_path / "out/rejects.jsonl").read_text()
    assert rejects.count("a named pipe") == 2 and rejects.count("a device") == 2, "in ant, and again through cat/other"


def test_gpu_without_a_gpu_says_why_and_what_to_do(photos: Path, gpu_pack_command: Run, tmp_path: Path) -> None:
    from gpu_pack.gpu.probe import probe

    if probe().usable:
        pytest.skip("there is a usable GPU")
    check(
        gpu_pack_command("create", photos, "out", "--device", "gpu", code=1), "device=gpu (--device): ", "--device cpu"
    )
    check(gpu_pack_command("create", photos, "out", "--device", "hybrid", code=1), "device=hybrid (--device): ")
    assert not (tmp_path / "out").exists()
