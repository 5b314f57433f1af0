"""Zips as sources: read at their offsets, and never believed."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_pack.errors import GpuPackError, SourceError
from gpu_pack.sources.listing import entries
from gpu_pack.sources.spool import Spool
from gpu_pack.types import Rejected
from tests.folders import write_picture
from tests.sources.archives.making import labels, listed, read_all, refused

JPEG = b"\xff\xd8\xff\xe0" + random.Random(0).randbytes(2000)
Edit = Callable[[bytearray], object]


def zip_of(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_STORED, edit: Edit | None = None) -> Path:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    data = bytearray(made.getvalue())
    if edit is not None:
        edit(data)
    path.write_bytes(data)
    return path


def central(data: bytearray, number: int) -> int:
    """The position of a directory's entry."""
    position = data.index(b"PK\1\2")
    for _ in range(number):
        position = data.index(b"PK\1\2", position + 4)
    return position


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_lists_as_its_folder(tmp_path: Path, method: int) -> None:
    folder = tmp_path / "photos"
    for number, name in enumerate(("ant/1.jpg", "ant/größe.jpg", "bee/sub/2.png", "bee/ohne.jpg")):
        write_picture(folder / name, number)
    (folder / "bee/ohne.jpg").rename(folder / "bee/ohne")
    (folder / "bee/notes.txt").write_bytes(b"text")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w", method) as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            archive.write(file, file.relative_to(folder))
    found, expected = listed(tmp_path / "photos.zip"), listed(folder)
    assert [path.removeprefix("photos.zip!/") for path in found.paths] == expected.paths
    assert (found.labels, found.classes, found.sizes) == (expected.labels, expected.classes, expected.sizes)
    assert found.skipped == expected.skipped and list(read_all(found).values()) == list(read_all(expected).values())


def test_sixty_four_bit_fields_and_bytes_in_front(tmp_path: Path) -> None:
    with (tmp_path / "x.zip").open("wb") as file:
        file.write(b"#!/bin/sh of an archive that unpacks itself\n" * 9)
        with zipfile.ZipFile(file, "w") as archive, archive.open("cat/1.jpg", "w", force_zip64=True) as member:
            member.write(JPEG)
    data = bytearray((tmp_path / "x.zip").read_bytes())
    before = data.index(b"PK\3\4")
    at, end = central(data, 0), data.index(b"PK\5\6")
    extra = struct.pack("<HHQQQ", 1, 24, len(JPEG), len(JPEG), before)  # as zipfile writes it: with what is in front
    entry = data[at:end]
    entry[20:28], entry[42:46], entry[30:32] = b"\xff" * 8, b"\xff" * 4, struct.pack("<H", len(extra))
    directory = bytes(entry) + extra
    start = len(data[:at])
    end64 = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(directory), start)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, start + len(directory), 1)
    last = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 7) + b"comment"
    (tmp_path / "y.zip").write_bytes(bytes(data[:at]) + directory + end64 + locator + last)
    for name in ("x.zip", "y.zip"):
        assert read_all(listed(tmp_path / name)) == {f"{name}!/cat/1.jpg": JPEG}
    (tmp_path / "z.zip").write_bytes(b"more in front" + (tmp_path / "y.zip").read_bytes())
    assert read_all(listed(tmp_path / "z.zip", source_format="zip")) == {"z.zip!/cat/1.jpg": JPEG}


@pytest.mark.parametrize(
    ("raw", "host", "flags", "expected"),
    [
        ("größe.jpg".encode("cp437"), 0, 0, "größe.jpg"),
        ("größe.jpg".encode(), 0, 0x800, "größe.jpg"),
        ("größe.jpg".encode(), 3, 0, "größe.jpg"),  # as macOS writes them
        ("größe.jpg".encode("cp437"), 3, 0, "größe.jpg"),
        (b"a\\1.jpg", 0, 0, "a/1.jpg"),
    ],
)
def test_names_in_every_encoding(tmp_path: Path, raw: bytes, host: int, flags: int, expected: str) -> None:
    def edit(data: bytearray) -> None:
        at = central(data, 0)
        for place in (30, at + 46):
            data[place : place + len(raw)] = raw
        data[at + 5] = host
        data[at + 8 : at + 10] = struct.pack("<H", flags)

    found = listed(zip_of(tmp_path / "x.zip", {"_" * len(raw): JPEG}, edit=edit))
    assert read_all(found) == {f"x.zip!/{expected}": JPEG}


@pytest.mark.parametrize("host", [0, 3])
def test_backslashes_between_folders_are_read_as_slashes(tmp_path: Path, host: int) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in ("cat\\", "cat\\1.jpg", "dog\\2.jpg", "dog\\old\\3.jpg", "cat/4.jpg", "..\\5.jpg"):
            info = zipfile.ZipInfo()
            info.filename, info.create_system = name, host
            archive.writestr(info, b"" if name.endswith("\\") else JPEG)
    found = listed(tmp_path / "x.zip")
    assert labels(found) == {
        "x.zip!/cat/1.jpg": "cat",
        "x.zip!/cat/4.jpg": "cat",
        "x.zip!/dog/2.jpg": "dog",
        "x.zip!/dog/old/3.jpg": "dog",
    }
    assert [code for code, _ in refused(found).values()] == ["name"]
    assert [(each.code, each.count, each.example) for each in found.notices] == [
        ("archive-backslashes", 4, "cat/1.jpg")
    ]


def test_a_backslash_beside_slashes_is_a_letter_on_unix(tmp_path: Path) -> None:
    found = listed(zip_of(tmp_path / "x.zip", {"cat/a\\1.jpg": JPEG}))
    assert read_all(found) == {"x.zip!/cat/a\\1.jpg": JPEG} and not found.notices


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_are_spooled(tmp_path: Path, method: int) -> None:
    files = {"ant/1.jpg": JPEG, "bee/2.jpg": JPEG[::-1], "bee/ohne": JPEG + b"x", "bee/2.txt": b"text"}
    path = zip_of(tmp_path / "x.zip", files, method)
    with Spool(tmp_path / "spool") as spool:
        found = listed(path, spool=spool)
        del files["bee/2.txt"]
        assert read_all(found) == {f"x.zip!/{name}": data for name, data in files.items()}
        assert found.skipped == {".txt": 1}
    assert listed(path).paths == found.paths and not (tmp_path / "spool").exists()

    def damage(data: bytearray) -> None:
        data[60] ^= 255

    with Spool(tmp_path / "spool") as spool:
        found = listed(zip_of(tmp_path / "y.zip", files, method, damage), spool=spool)
        assert refused(found)["y.zip!/ant/1.jpg"][0] == "damaged" and len(read_all(found)) == 2


def test_encrypted_zips_are_refused(tmp_path: Path) -> None:
    def encrypt(count: int) -> Edit:
        def edit(data: bytearray) -> None:
            for number in range(count):
                data[central(data, number) + 8] |= 1

        return edit

    files = {"cat/1.jpg": JPEG, "cat/2.jpg": JPEG}
    with pytest.raises(SourceError, match=r"x\.zip: it is encrypted: unpack it with its password"):
        listed(zip_of(tmp_path / "x.zip", files, edit=encrypt(2)))
    found = listed(zip_of(tmp_path / "x.zip", files, edit=encrypt(1)))
    assert found.paths == ["x.zip!/cat/2.jpg"]
    assert refused(found)["x.zip!/cat/1.jpg"][0] == "unsupported"


def test_methods_that_nothing_reads_are_named(tmp_path: Path) -> None:
    def edit(data: bytearray) -> None:
        data[central(data, 0) + 10] = 9

    found = listed(zip_of(tmp_path / "x.zip", {"cat/1.jpg": JPEG, "cat/2.jpg": JPEG}, edit=edit))
    assert refused(found) == {
        "x.zip!/cat/1.jpg": ("unsupported", "it is compressed by method 9 (Deflate64): pack it again with deflate")
    }


def test_names_that_lead_out_links_and_duplicates(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in ("cat/1.jpg", "/abs/1.jpg", "../1.jpg", "cat/../../2.jpg", "C:/1.jpg"):
            archive.writestr(name, JPEG)
        link = zipfile.ZipInfo("cat/link.jpg")
        link.external_attr, link.create_system = 0o120777 << 16, 3
        archive.writestr(link, b"/etc/passwd")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("cat/1.jpg", JPEG + b"new")
    found = listed(tmp_path / "x.zip")
    assert found.classes == ("cat",) and read_all(found) == {"x.zip!/cat/1.jpg": JPEG + b"new"}
    codes = sorted((each.code, each.entry.path) for each in found.rejects)
    assert codes == [
        ("duplicate", "x.zip!/cat/1.jpg"),
        ("name", "x.zip!/../1.jpg"),
        ("name", "x.zip!//abs/1.jpg"),
        ("name", "x.zip!/C:/1.jpg"),
        ("name", "x.zip!/cat/../../2.jpg"),
        ("unreadable", "x.zip!/cat/link.jpg"),
    ]


def test_members_that_share_bytes_are_rejects(tmp_path: Path) -> None:
    """As in zip bombs, in which every member has the data of all others in it."""

    def overlap(data: bytearray) -> None:
        for number in range(3):
            at = central(data, number)
            data[at + 20 : at + 24] = struct.pack("<I", 5000)

    def same(data: bytearray) -> None:
        data[central(data, 1) + 42 : central(data, 1) + 46] = bytes(4)

    files = {f"cat/{number}.jpg": JPEG for number in range(4)}
    found = listed(zip_of(tmp_path / "x.zip", files, zipfile.ZIP_DEFLATED, overlap))
    assert list(labels(found)) == ["x.zip!/cat/3.jpg"]
    assert {code for code, _ in refused(found).values()} == {"damaged"}
    found = listed(zip_of(tmp_path / "x.zip", files, zipfile.ZIP_DEFLATED, same))
    assert refused(found).keys() == {"x.zip!/cat/0.jpg", "x.zip!/cat/1.jpg"}


@pytest.mark.parametrize(
    ("at", "value", "code"),
    [
        (24, struct.pack("<I", 3), "damaged"),  # less than there is
        (24, struct.pack("<I", 1 << 30), "too-large"),
        (16, b"abcd", "damaged"),  # the CRC
        (42, struct.pack("<I", 1 << 31), "damaged"),  # behind the end
        (42, struct.pack("<I", 40), "damaged"),  # not at a header
    ],
)
def test_entries_that_lie_cost_their_member(tmp_path: Path, at: int, value: bytes, code: str) -> None:
    def edit(data: bytearray) -> None:
        start = central(data, 1) + at
        data[start : start + 4] = value

    files = {f"cat/{number}.jpg": b"\xff\xd8\xff" + bytes(5000) for number in range(3)}
    found = listed(zip_of(tmp_path / "x.zip", files, zipfile.ZIP_DEFLATED, edit))
    images = list(found.store.read_many(found.entry(row) for row in range(len(found))))
    bad = [*found.rejects, *(each for each in images if isinstance(each, Rejected))]
    assert "x.zip!/cat/1.jpg" in {each.entry.path for each in bad} and {each.code for each in bad} == {code}
    assert len(found) + len(found.rejects) - len(bad) >= (1 if at == 42 else 2)


def test_a_zip_bomb_takes_no_memory(tmp_path: Path) -> None:
    import tracemalloc

    def lie(data: bytearray) -> None:
        at = central(data, 0)
        data[at + 24 : at + 28] = struct.pack("<I", 1000)

    path = zip_of(tmp_path / "x.zip", {"cat/1.jpg": bytes(64 << 20)}, zipfile.ZIP_DEFLATED, lie)
    tracemalloc.start()
    found = listed(path)
    (image,) = found.store.read_many([found.entry(0)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(image, Rejected) and image.code == "damaged" and peak < 8 << 20


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda data: data.__delitem__(slice(-30, None)), "its directory, which ends every zip, is missing"),
        (lambda data: data.__setitem__(slice(-10, -6), b"\xff\xff\xff\x7f"), "names a directory that lies outside"),
        (lambda data: data.__setitem__(central(data, 0), 0), "its directory is damaged at entry 1"),
        (lambda data: data.__setitem__(slice(-18, -16), b"\1\0"), "it is one part of a zip in several"),
    ],
)
def test_directories_that_are_damaged_are_one_error(tmp_path: Path, edit: Edit, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence):
        listed(zip_of(tmp_path / "x.zip", {"cat/1.jpg": JPEG}, edit=edit))


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_any_damage_is_rejects_or_one_error(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    def edit(made: bytearray) -> None:
        for _ in range(data.draw(st.integers(1, 5))):
            at = data.draw(st.integers(0, len(made) - 1))
            piece = data.draw(st.binary(min_size=1, max_size=8))
            made[at : at + len(piece)] = piece

    files = {f"c{number}/{number}.jpg": JPEG[:90] for number in range(3)}
    path = zip_of(tmp_path_factory.mktemp("any") / "x.zip", files, zipfile.ZIP_DEFLATED, edit)
    try:
        found = listed(path)
        list(found.store.read_many(entries(found, found.keys[:0])))
        list(found.store.read_many(found.entry(row) for row in range(len(found))))
    except GpuPackError as error:
        assert "\n" not in str(error)
