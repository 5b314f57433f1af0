"""Damaged and hostile tars: what they cost is named, and nothing else is lost."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_pack.errors import GpuPackError, SourceError
from gpu_pack.sources.archives.tar_walk import TarWalk
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
    with_checksum,
)

JPEG = b"\xff\xd8\xff\xe0" + random.Random(0).randbytes(2000)


def notice(found: object) -> tuple[str, int, str]:
    (each,) = found.notices  # type: ignore[attr-defined]
    return each.code, each.count, each.example


def numbered(count: int) -> bytearray:
    return bytearray(b"".join(member(f"c{n % 2}/{n}.jpg", JPEG) for n in range(count)) + END)


def test_a_bad_header_costs_its_member_alone(tmp_path: Path) -> None:
    data = numbered(6)
    data[2 * 2560 + 3] ^= 1
    (tmp_path / "x.tar").write_bytes(data)
    found = listed(tmp_path / "x.tar")
    assert list(labels(found)) == [f"x.tar!/c{n % 2}/{n}.jpg" for n in (0, 4, 1, 3, 5)]
    assert notice(found) == (
        "archive-damaged",
        1,
        "x.tar, where there is no valid header at byte 5,120; 2,560 bytes were passed over",
    )


def test_a_hole_costs_what_was_in_it(tmp_path: Path) -> None:
    data = numbered(10)
    data[3000:13000] = bytes(10000)
    (tmp_path / "x.tar").write_bytes(data)
    found = listed(tmp_path / "x.tar")
    assert [path.rpartition("/")[2] for path in sorted(found.paths)] == [
        "0.jpg",
        "6.jpg",
        "8.jpg",
        "1.jpg",
        "7.jpg",
        "9.jpg",
    ]
    assert notice(found) == (
        "archive-damaged",
        4,
        "x.tar, where zeros lie between members at byte 5,120; 10,240 bytes were passed over",
    )


@pytest.mark.parametrize(("first", "last"), [(1, 2), (3, 5), (1, 1200)])
def test_zeros_in_place_of_members_are_told(tmp_path: Path, first: int, last: int) -> None:
    data = numbered(1202)
    data[first * 2560 : last * 2560] = bytes((last - first) * 2560)
    (tmp_path / "x.tar").write_bytes(data)
    found = listed(tmp_path / "x.tar")
    assert len(found) == 1202 - (last - first)
    assert notice(found)[:2] == ("archive-damaged", round((last - first) * 2560 / (len(JPEG) + 512)))


def test_a_header_of_zeros_is_no_end_mark(tmp_path: Path) -> None:
    data = numbered(8)
    data[3 * 2560 : 3 * 2560 + 512] = bytes(512)  # its member ends at a multiple of 10,240
    (tmp_path / "x.tar").write_bytes(data)
    found = listed(tmp_path / "x.tar")
    assert len(found) == 7 and notice(found)[1] == 1


def test_a_cut_member_is_a_reject_by_name(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(numbered(4)[: 3 * 2560 + 700])
    found = listed(tmp_path / "x.tar")
    assert refused(found) == {"x.tar!/c1/3.jpg": ("truncated", "the archive ends before it does")}
    assert len(read_all(found)) == 3 and notice(found)[2].startswith("x.tar, where the archive ends inside of a member")
    (tmp_path / "x.tar").write_bytes(numbered(4)[: 4 * 2560])
    found = listed(tmp_path / "x.tar")
    assert len(found) == 4 and "it ends without an end mark, and may be cut short" in notice(found)[2]


def test_archives_one_behind_another_are_one(tmp_path: Path) -> None:
    for fill in (0, 10_240 - 2 * 2560 - len(END)):
        (tmp_path / "x.tar").write_bytes((numbered(2) + bytes(fill)) * 2 + tar_bytes({"c0/9.jpg": JPEG}))
        found = listed(tmp_path / "x.tar")
        assert "x.tar!/c0/9.jpg" in found.paths and not found.notices


def test_a_lost_inner_archive_is_an_error_unless_the_classes_are_known(tmp_path: Path) -> None:
    inner = {f"n{n}.tar": tar_bytes({f"n{n}_1.JPEG": JPEG}) for n in range(3)}
    data = bytearray(tar_bytes(inner))
    second = data.index(b"n1.tar")
    data[second] ^= 1
    (tmp_path / "train.tar").write_bytes(data)
    with pytest.raises(SourceError, match=r"may hide an archive in it, and so a class.*--classes FILE"):
        listed(tmp_path / "train.tar")
    (tmp_path / "classes.txt").write_text("n0\nn1\nn2\n")
    found = listed(tmp_path / "train.tar", classes=tmp_path / "classes.txt")
    assert [label for (label,) in found.labels] == [0, 2]
    assert refused(found)["train.tar!/n1_1.JPEG"][0] == "damaged" and notice(found)[1] == 1


def test_an_inner_archive_that_is_cut_keeps_what_is_there(tmp_path: Path) -> None:
    inner = tar_bytes({f"n0_{n}.JPEG": JPEG for n in range(3)})
    (tmp_path / "train.tar").write_bytes(member("n0.tar", inner)[: 512 + 2 * 2560 + 600])
    (tmp_path / "classes.txt").write_text("n0\nn1\n")
    found = listed(tmp_path / "train.tar", classes=tmp_path / "classes.txt")
    assert len(read_all(found)) == 2 and refused(found)["train.tar!/n0.tar!/n0_2.JPEG"][0] == "truncated"
    with pytest.raises(SourceError, match="the archive ends inside of a member at"):
        listed(tmp_path / "train.tar")


def test_a_tar_of_tars_that_is_cut_is_an_error_too(tmp_path: Path) -> None:
    inner = tar_bytes({"n0_1.JPEG": JPEG})
    (tmp_path / "train.tar").write_bytes(member("n0.tar", inner))
    with pytest.raises(SourceError, match=r"it ends without an end mark.*may hide an archive"):
        listed(tmp_path / "train.tar")


def test_a_file_that_is_no_tar_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"<html>404 Not Found</html>" * 99)
    with pytest.raises(SourceError, match=r"x\.tar: nothing can be read from it as a tar: .*no valid header at byte 0"):
        listed(tmp_path / "x.tar")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/etc/cat/1.jpg", "absolute path"),
        ("cat/../../1.jpg", "'..' in it"),
        ("..\\..\\1.jpg", "'..' in it"),
        ("C:\\cat\\1.jpg", "absolute path"),
        ("c:1.jpg", "absolute path"),
        ("\\\\server\\cat\\1.jpg", "absolute path"),
        ("a/" * 4000 + "1.jpg", "over 4,096 characters"),
        ("a/" * 1000 + "1.jpg", "over 100 folders"),
    ],
)
def test_names_that_lead_out_are_rejects_without_a_class(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "x.tar").write_bytes(member("cat/1.jpg", JPEG) + pax(path=name) + member("x", JPEG) + END)
    found = listed(tmp_path / "x.tar")
    assert found.classes == ("cat",) and len(found) == 1
    ((path, (code, why)),) = refused(found).items()
    assert code == "name" and reason in why and len(path) < 200
    assert found.rejects[0].entry.labels == ()


def test_links_and_devices_with_names_of_images_are_rejects(tmp_path: Path) -> None:
    others = header("cat/l.jpg", 0, b"2", b"/etc/passwd") + header("cat/d.jpg", 0, b"3") + header("cat/p.jpg", 0, b"6")
    plain = header("cat/link", 0, b"2", b"..") + header("cat/null", 0, b"3")
    (tmp_path / "x.tar").write_bytes(others + plain + member("cat/1.jpg", JPEG) + END)
    found = listed(tmp_path / "x.tar")
    assert {path: reason for path, (_, reason) in refused(found).items()} == {
        "x.tar!/cat/d.jpg": "not a file but a device",
        "x.tar!/cat/l.jpg": "not a file but a symbolic link",
        "x.tar!/cat/p.jpg": "not a file but a named pipe",
    }
    assert found.skipped == {"symbolic link": 1, "device": 1} and len(found) == 1


def test_sparse_files_are_rejects(tmp_path: Path) -> None:
    old = bytearray(header("cat/2.jpg", 512, b"S"))
    old[482] = 1
    more = bytearray(512)
    sparse = with_checksum(old) + bytes(more) + bytes(512)
    new = pax(**{"GNU.sparse.major": "1", "GNU.sparse.name": "cat/3.jpg"}) + member("cat/GNUSparseFile.0/3.jpg", JPEG)
    (tmp_path / "x.tar").write_bytes(sparse + new + member("cat/1.jpg", JPEG) + END)
    found = listed(tmp_path / "x.tar")
    assert found.paths == ["x.tar!/cat/1.jpg"] and not found.notices
    assert [each.entry.path for each in found.rejects] == ["x.tar!/cat/2.jpg", "x.tar!/cat/3.jpg"]


@pytest.mark.parametrize("size", ["9" * 5000, str(1 << 62), str(1 << 40)])
def test_sizes_that_lie(tmp_path: Path, size: str) -> None:
    lie = pax(path="cat/2.jpg", size=size) + member("cat/2.jpg", JPEG)
    (tmp_path / "x.tar").write_bytes(member("cat/1.jpg", JPEG) + lie + member("cat/3.jpg", JPEG) + END)
    found = listed(tmp_path / "x.tar")
    assert found.paths == ["x.tar!/cat/1.jpg", "x.tar!/cat/3.jpg"]
    assert refused(found) == {"x.tar!/cat/2.jpg": ("truncated", "the archive ends before it does")}


@pytest.mark.parametrize(
    "extended",
    [
        member("PaxHeader", b"999 path=cat/2.jpg\n", type_=b"x"),
        member("PaxHeader", b"path=cat/2.jpg\n", type_=b"x"),
        member("PaxHeader", b"1 " * 100, type_=b"x"),
        member("PaxHeader", bytes(9) + b"x" * (1 << 21), type_=b"x"),
    ],
)
def test_extended_headers_that_are_damaged_cost_their_member(tmp_path: Path, extended: bytes) -> None:
    data = member("cat/1.jpg", JPEG) + extended + member("cat/2.jpg", JPEG) + member("cat/3.jpg", JPEG) + END
    (tmp_path / "x.tar").write_bytes(data)
    found = listed(tmp_path / "x.tar")
    assert found.paths == ["x.tar!/cat/1.jpg", "x.tar!/cat/3.jpg"]
    code, reason = refused(found)["x.tar!/cat/2.jpg"]
    assert code == "damaged" and reason.startswith("its extended header")


def test_an_extended_header_of_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    data = member("cat/1.jpg", JPEG) + header("PaxHeader", 1 << 32, b"x") + member("cat/2.jpg", JPEG) + END
    (tmp_path / "x.tar").write_bytes(data)
    found = listed(tmp_path / "x.tar")
    assert found.paths == ["x.tar!/cat/1.jpg", "x.tar!/cat/2.jpg"]
    assert "an extended header does not end inside of the archive" in notice(found)[2]


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_any_bytes_are_walked_to_the_end(data: st.DataObject) -> None:
    tar = bytearray(pax(path="cat/x.jpg", size="7") + numbered(3))
    for _ in range(data.draw(st.integers(0, 6))):
        start = data.draw(st.integers(0, len(tar) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=12) | st.sampled_from([b"\x80" + b"\xff" * 11, b"7" * 12]))
        tar[start : start + len(piece)] = piece
    if data.draw(st.booleans()):
        for at in range(0, len(tar), 512):
            if tar[at : at + 3] in (b"c0/", b"c1/", b"Pax"):
                tar[at : at + 512] = with_checksum(tar[at : at + 512])
    del tar[data.draw(st.integers(1, len(tar))) :]

    def read_at(offset: int, length: int) -> bytes:
        assert offset >= 0 and 0 <= length <= 1 << 20
        return bytes(tar[offset : offset + length])

    walk = TarWalk(read_at, len(tar))
    found = list(walk)
    assert len(found) < 20
    for each in found:
        assert each.fault or each.offset + each.size <= len(tar)
    assert all(0 <= each.size <= len(tar) for each in walk.damage)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=3000))
def test_any_file_is_listed_or_one_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "x.tar"
    path.write_bytes(data)
    with pytest.raises(GpuPackError):
        listed(path)


def test_zeros_behind_all_members_are_told_where_no_tar_program_writes_as_many(tmp_path: Path) -> None:
    whole = bytes(numbered(6))
    for zeros in (0, (1 << 20) - len(END)):  # as GNU tar's --blocking-factor can
        (tmp_path / "x.tar").write_bytes(whole + bytes(zeros))
        assert listed(tmp_path / "x.tar").notices == []
    (tmp_path / "x.tar").write_bytes(whole[: 4 * 2560] + bytes(3 << 20))
    found = listed(tmp_path / "x.tar")
    assert len(found) == 4
    assert notice(found) == (
        "archive-damaged",
        1250,
        "x.tar, where only zeros follow, as in an unfinished download, at byte 10,240; 3,145,728 bytes were passed "
        "over",
    )


@pytest.mark.parametrize(
    ("inner", "reason"),
    [
        (random.Random(1).randbytes(3000), "where there is no valid header at byte 0"),
        (b"", "which is empty"),
    ],
)
def test_a_class_of_a_tar_of_tars_that_cannot_be_read_is_named(tmp_path: Path, inner: bytes, reason: str) -> None:
    whole = member("1.jpg", JPEG) + END
    (tmp_path / "x.tar").write_bytes(member("a.tar", whole) + member("b.tar", inner) + member("c.tar", whole) + END)
    with pytest.raises(SourceError, match=rf"x\.tar!/b\.tar, {reason}.*nothing can be read from it as a tar"):
        listed(tmp_path / "x.tar")
