"""extract: the images byte for byte, and nothing outside of the folder, whatever the names are."""

from __future__ import annotations

import os
import sys
import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpu_pack.errors import OutputError, OutputExistsError, SourceError, UsageError
from gpu_pack.recordio import frame_image
from gpu_pack.tools.extract import ExtractOptions, extract, parse_keys
from gpu_pack.tools.inspect import inspect
from gpu_pack.tools.safe_names import UniquePaths, safe_part, safe_parts, with_suffix
from gpu_pack.types import Progress
from tests.tools.datasets import images, offsets

_JPEG = b"\xff\xd8\xff\xe0 as far as anybody looks"


def _files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def _rec(folder: Path, names: list[str], classes: list[str] | None = None) -> Path:
    """A .rec with a record for each name, and a list with the names as they are."""
    folder.mkdir(exist_ok=True)
    path = folder / "x.rec"
    path.write_bytes(b"".join(frame_image(key, (float(key),), _JPEG + bytes([key])) for key in range(len(names))))
    text = "".join(f"{key}\t{key}\t{name}\n" for key, name in enumerate(names))
    path.with_suffix(".lst").write_bytes(text.encode("utf-8", "surrogatepass"))
    if classes is not None:
        (folder / "classes.txt").write_bytes("".join(f"{name}\n" for name in classes).encode("utf-8", "surrogatepass"))
    return path


def test_every_image_comes_back_under_its_own_name(dataset: Path, tmp_path: Path) -> None:
    result = extract(dataset, tmp_path / "dest")
    files = _files(tmp_path / "dest")
    assert result.ok and result.written == 16
    assert sorted(files.values()) == images(dataset)
    assert {f"class {number % 2}/{number}.jpeg" for number in range(16)} == files.keys()


def test_changed_names_are_told(tmp_path: Path) -> None:
    rec = _rec(tmp_path / "in", ["a.jpg", "12:30.jpg", "b/what?.jpg", "made from.png"])
    result = extract(rec, tmp_path / "dest")
    assert result.renames == {"12:30.jpg": "12_30.jpg", "b/what?.jpg": "b/what_.jpg"} and result.renamed == 2
    assert _files(tmp_path / "dest").keys() == {"a.jpg", "12_30.jpg", "b/what_.jpg", "made from.jpg"}


def test_progress_counts_files(dataset: Path, tmp_path: Path) -> None:
    states: list[Progress] = []
    extract(dataset, tmp_path / "dest", on_progress=states.append)
    assert (states[0].done, states[-1].done, states[-1].total, states[-1].unit) == (1, 16, None, "files")


def test_options_are_checked_and_keys_are_any_collection(dataset: Path, tmp_path: Path) -> None:
    assert extract(dataset, tmp_path / "dest", keys=[3, 5]).written == 2
    with pytest.raises(UsageError, match="no key"):
        extract(dataset, tmp_path / "dest", keys=())
    with pytest.raises(UsageError, match="limit=0"):
        extract(dataset, tmp_path / "dest", limit=0)
    with pytest.raises(UsageError, match="layout=tree: choose list, class, flat"):
        extract(dataset, tmp_path / "dest", layout="tree")  # type: ignore[arg-type]


def test_an_interrupted_extract_can_be_run_again(dataset: Path, tmp_path: Path) -> None:
    extract(dataset, tmp_path / "dest", limit=5)
    (tmp_path / "dest/class 1/.9.jpeg.partial").write_bytes(b"where a kill left it")
    assert extract(dataset, tmp_path / "dest").written == 16
    assert sorted(_files(tmp_path / "dest").values()) == images(dataset)


def test_a_file_cut_between_two_records_is_short_and_told(dataset: Path, tmp_path: Path) -> None:
    rec = dataset / "train-00001-of-00002.rec"
    rec.write_bytes(rec.read_bytes()[: offsets(rec)[-2]])
    for result in (extract(dataset, tmp_path / "dest"), inspect(dataset)):
        assert [fault.what for fault in result.faults] == ["split train holds 11 records, and the manifest says 13"]
        assert not result.ok
    rec.write_bytes(b"")
    assert not extract(dataset, tmp_path / "other").ok and not inspect(dataset).ok
    assert extract(dataset, tmp_path / "some", split="validation").ok
    assert extract(dataset, tmp_path / "few", limit=2).ok, "not all was asked for"


def test_by_class_and_flat(dataset: Path, tmp_path: Path) -> None:
    extract(dataset, tmp_path / "class", layout="class")
    extract(dataset, tmp_path / "flat", layout="flat")
    by_class, flat = _files(tmp_path / "class"), _files(tmp_path / "flat")
    assert {name.split("/")[0] for name in by_class} == {"class 0", "class 1"}
    assert {name.split("/")[1]: data for name, data in by_class.items()} == flat
    assert sorted(flat.values()) == images(dataset)


def test_split_keys_and_limit(dataset: Path, tmp_path: Path) -> None:
    extract(dataset, tmp_path / "a", split="validation")
    assert sorted(_files(tmp_path / "a").values()) == images(dataset, "validation*.rec")
    result = extract(dataset, tmp_path / "b", keys=parse_keys("1,3-4,99"), layout="flat")
    assert _files(tmp_path / "b").keys() == {"1.jpg", "3.jpg", "4.jpg"}
    assert result.missing == [99] and not result.ok
    assert extract(dataset, tmp_path / "c", limit=5).written == 5
    with pytest.raises(SourceError, match="no split 'test'; there are train, validation"):
        extract(dataset, tmp_path / "d", split="test")


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "1,,2", "0-99999999", "9" * 60])
def test_keys_that_are_none_are_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError, match="--keys"):
        parse_keys(text)


def test_nothing_is_overwritten_silently(dataset: Path, tmp_path: Path) -> None:
    options = ExtractOptions(limit=1, layout="flat")
    extract(dataset, tmp_path / "dest", options=options)
    (path,) = (tmp_path / "dest").iterdir()
    before = path.read_bytes()
    path.write_bytes(b"mine")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        extract(dataset, tmp_path / "dest", options=options)
    assert path.read_bytes() == b"mine"
    extract(dataset, tmp_path / "dest", limit=1, layout="flat", overwrite=True)
    assert _files(tmp_path / "dest") == {path.name: before}


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
@pytest.mark.parametrize("overwrite", [False, True])
def test_links_that_lie_in_the_folder_are_not_followed(tmp_path: Path, overwrite: bool) -> None:
    outside, dest = tmp_path / "outside", tmp_path / "dest"
    outside.mkdir()
    dest.mkdir()
    (outside / "victim.jpg").write_bytes(b"victim")
    (dest / "a").symlink_to(outside, target_is_directory=True)
    (dest / "b.jpg").symlink_to(outside / "victim.jpg")
    (dest / "c.jpg").symlink_to(outside / "not yet there.jpg")
    options = ExtractOptions(overwrite=overwrite)
    for number, name in enumerate(("a/x.jpg", "b.jpg", "c.jpg")):
        rec = _rec(tmp_path / f"rec{number}", [name])
        if overwrite and "/" not in name:
            extract(rec, dest, options=options)
            assert not (dest / name).is_symlink()
        else:
            with pytest.raises(OutputError):
                extract(rec, dest, options=options)
    assert _files(outside) == {"victim.jpg": b"victim"}


_NASTY = [
    "/etc/cron.d/x.jpg",
    "../../x.jpg",
    "a/../../../x.jpg",
    "..",
    ".",
    "C:\\Windows\\x.jpg",
    "C:x.jpg",
    "\\\\server\\share\\x.jpg",
    "..\\..\\x.jpg",
    "nul.jpg",
    "a/CON",
    "com¹.jpg",
    "a:stream.jpg",
    "x" * 5000 + ".jpg",
    "a/" * 3000 + "x.jpg",
    "\x1b[2J.jpg",
    "a. /b./ c .jpg",
    "~/x.jpg",
    "-rf.jpg",
    "é.jpg",
    unicodedata.normalize("NFD", "é.jpg"),
    "SAME.jpg",
    "same.jpg",
    "same.jpg/inside.jpg",
    "\u202egpj.exe",
]


def test_nasty_names_stay_inside_and_apart(tmp_path: Path) -> None:
    rec = _rec(tmp_path / "in", _NASTY, [name.replace("\n", "") for name in _NASTY])
    before = set(os.listdir(tmp_path))
    for number, layout in enumerate(("list", "class")):
        dest = tmp_path / "deep" / "deeper" / f"dest{number}"
        assert extract(rec, dest, layout=layout).written == len(_NASTY)  # type: ignore[arg-type]
        assert len(_files(dest)) == len(_NASTY)
    assert set(os.listdir(tmp_path)) == before | {"deep"}
    assert set(os.listdir(tmp_path / "deep")) == {"deeper"}
    assert set(os.listdir(tmp_path / "deep" / "deeper")) == {"dest0", "dest1"}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=8))
def test_whatever_the_names_are_paths_are_relative_portable_and_apart(names: list[str]) -> None:
    unique, given_out = UniquePaths(), set()
    for key, name in enumerate(names):
        parts = unique.add(safe_parts(name), key)
        for part in parts:
            assert part not in ("", ".", "..")
            assert not set(part) & set('<>:"|?*\\/\0\n')
            assert part == part.strip(" ").rstrip(".") and len(part.encode()) <= 200
            if sys.version_info < (3, 13):
                assert not PureWindowsPath(part).is_reserved()
        assert not PurePosixPath(*parts).is_absolute() and not PureWindowsPath(*parts).is_absolute()
        assert len(PureWindowsPath(*parts).parts) == len(parts)
        given_out.add("/".join(parts).casefold())
    assert len(given_out) == len(names)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.lists(st.text("./\\abAB:é\u0301 ~\x00\t\r\ud800", max_size=12), min_size=1, max_size=6), st.booleans())
def test_extracting_never_leaves_the_folder(tmp_path: Path, names: list[str], by_class: bool) -> None:
    base = tmp_path / str(len(os.listdir(tmp_path)))
    rec = _rec(base, names, names)
    before = _files(base)
    dest = base / "out" / "dest"
    extract(rec, dest, layout="class" if by_class else "list")
    after = _files(base)
    assert len(_files(dest)) == len(names)
    assert {name: data for name, data in after.items() if not name.startswith("out/dest/")} == before


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("a.JPEG", "jpeg", "a.JPEG"),
        ("a.png", "jpeg", "a.jpg"),
        ("a.b", "jpeg", "a.b.jpg"),
        ("a", "png", "a.png"),
        (".png", "jpeg", ".png.jpg"),
        ("a.GIF", "gif", "a.GIF"),
        ("a", "avif", "a.avif"),
        ("a.ppm", "pnm", "a.ppm"),
        ("a.jpg", None, "a.bin"),
    ],
)
def test_suffixes_follow_the_content(name: str, kind: str | None, expected: str) -> None:
    assert with_suffix(name, kind) == expected


def test_ordinary_names_stay_as_they_are() -> None:
    for name in ("n01440764_tench.JPEG", "Übung 3.jpg", "日本.png", ".hidden", "a-b_c+d(1).jpg", "console.jpg"):
        assert safe_part(name) == name


def test_damaged_records_are_named_and_the_others_extracted(dataset: Path, tmp_path: Path) -> None:
    path = dataset / "train-00000-of-00002.rec"
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    result = extract(dataset, tmp_path / "dest")
    assert result.written == 15
    assert [(fault.file, fault.offset) for fault in result.faults] == [(str(path), 0)]
