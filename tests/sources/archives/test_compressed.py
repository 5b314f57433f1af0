"""Compressed tars: decompressed once into the spool, or only looked through in a dry run."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gpu_pack.errors import OutputError, SourceError
from gpu_pack.sources.archives.compression import Decompressed, ForwardFile
from gpu_pack.sources.spool import Spool
from tests.sources.archives.making import header, listed, read_all, refused, tar_bytes

RANDOM = random.Random(0)
FILES = {f"c{n % 2}/{n}.jpg": b"\xff\xd8\xff" + RANDOM.randbytes(20_000) for n in range(20)} | {"c0/x.txt": b"text"}
SORTED = {name: FILES[name] for name in sorted(FILES) if name.endswith("jpg")}


def zstd(data: bytes) -> bytes:
    try:
        from compression import zstd as module  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        module = pytest.importorskip("backports.zstd")
    return bytes(module.compress(data))


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": lambda data: bz2.compress(data, 1),  # blocks of 100 KB
    "xz": lambda data: lzma.compress(data, preset=0),
    "zst": zstd,
}


@pytest.mark.parametrize("suffix", COMPRESS)
def test_each_is_spooled_once_and_removed(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.tar.{suffix}"
    path.write_bytes(COMPRESS[suffix](tar_bytes(FILES)))
    with Spool(tmp_path / "spool") as spool:
        found = listed(path, spool=spool)
        assert read_all(found) == {f"x.tar.{suffix}!/{name}": data for name, data in SORTED.items()}
        assert set(found.versions) == {path.stat().st_mtime_ns} and found.skipped == {".txt": 1} and not found.notices
    assert not (tmp_path / "spool").exists()
    dry = listed(path)
    assert (dry.paths, dry.labels, dry.sizes, dry.skipped) == (found.paths, found.labels, found.sizes, found.skipped)


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "zst"])
def test_the_first_bytes_decide_and_several_streams_are_one(tmp_path: Path, suffix: str) -> None:
    data = tar_bytes(FILES)
    parts = [COMPRESS[suffix](data[:1000]), COMPRESS[suffix](data[1000:])]
    (tmp_path / "x.tar").write_bytes(b"".join(parts) + (b"padding" if suffix == "gz" else b""))
    found = listed(tmp_path / "x.tar")
    assert len(found) == 20 and not found.notices


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_stream_that_is_cut_costs_what_is_behind(tmp_path: Path, suffix: str) -> None:
    data = COMPRESS[suffix](tar_bytes(FILES))
    (tmp_path / f"x.tar.{suffix}").write_bytes(data[: len(data) // 2])
    with Spool(tmp_path / "spool") as spool:
        found = listed(tmp_path / f"x.tar.{suffix}", spool=spool)
        assert 5 < len(read_all(found)) < 15
        assert {code for code, _ in refused(found).values()} <= {"truncated"}
    (notice,) = found.notices
    assert notice.code == "archive-damaged" and "data ends too early" in notice.example
    dry = listed(tmp_path / f"x.tar.{suffix}")
    assert dry.notices == found.notices and dry.paths == found.paths and refused(dry) == refused(found)


def test_a_damaged_stream_is_told(tmp_path: Path) -> None:
    files = {f"c/{n}.jpg": b"\xff\xd8\xff" + bytes(range(256)) * 500 for n in range(99)}
    data = bytearray(gzip.compress(tar_bytes(files)))
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    (tmp_path / "x.tgz").write_bytes(data)
    with Spool(tmp_path / "spool") as spool:
        found = listed(tmp_path / "x.tgz", spool=spool)
    assert "its gzip data is damaged near byte" in found.notices[0].example


def test_a_dry_run_goes_through_large_archives_in_one(tmp_path: Path) -> None:
    inner = tar_bytes({f"{n}.jpg": b"\xff\xd8\xff" + RANDOM.randbytes(1 << 20) for n in range(4)})
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(tar_bytes({"cat.tar": inner, "dog.tar": inner}), 1))
    assert len(listed(tmp_path / "x.tar.gz")) == 8


def test_damage_costs_what_it_touches(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(tar_bytes(FILES)))
    data[200_000] ^= 255
    body = tmp_path / "x.tar.gz"
    made = sum(map(len, Decompressed("x", lambda at, size: bytes(data[at : at + size]), 0, len(data))))
    assert made >= 199_000
    body.write_bytes(data)
    with Spool(tmp_path / "spool") as spool:
        assert len(read_all(listed(body, spool=spool))) >= 9


@pytest.mark.parametrize(("suffix", "at"), [("gz", -8), ("xz", -9), ("bz2", -2)])
def test_a_wrong_checksum_at_the_end_loses_nothing(tmp_path: Path, suffix: str, at: int) -> None:
    data = bytearray(COMPRESS[suffix](tar_bytes(FILES)))
    data[at] ^= 255
    (tmp_path / "x.tar").write_bytes(data)
    with Spool(tmp_path / "spool") as spool:
        found = listed(tmp_path / "x.tar", spool=spool)
        assert len(read_all(found)) == 20 and not found.rejects
    assert [(each.code, each.count) for each in found.notices] == [("archive-damaged", 0)]


def test_a_missing_zstandard_is_told_with_its_remedy() -> None:
    with pytest.raises(SourceError, match=r"x\.tar\.zst: .*pip install 'gpu-pack\[zstd\]'"):
        Decompressed("x.tar.zst", lambda offset, length: b"\x28\xb5\x2f\xfd"[:length], 0, 9, ["no.such.module"])


@pytest.mark.parametrize(("compress", "folder"), [(bz2.compress, ""), (lzma.compress, "spool")])
def test_bombs_end_with_one_error(tmp_path: Path, compress: Callable[[bytes], bytes], folder: str) -> None:
    bomb = compress(header("c/1.jpg", 96 << 20)) + compress(bytes(8 << 20)) * 12
    (tmp_path / "x.tar").write_bytes(bomb)
    with (
        Spool(tmp_path / folder if folder else None) as spool,
        pytest.raises(SourceError, match=r"x\.tar: it decompresses to over 500 times its size"),
    ):
        listed(tmp_path / "x.tar", spool=spool)


class FullDisk(Spool):
    """Has room for so many bytes."""

    room = 0

    def reserve(self, needed: int, what: str) -> None:
        if needed > self.room:
            raise OutputError(f"{what} has to be spooled, and the disk is full")


@pytest.mark.parametrize("room", [1000, 60 << 20])
def test_the_disk_is_looked_at_before_and_meanwhile(tmp_path: Path, room: int) -> None:
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(tar_bytes(FILES)))
    with FullDisk(tmp_path / "spool") as spool, pytest.raises(OutputError, match=r"x\.tar\.gz has to be spooled"):
        spool.room = room
        listed(tmp_path / "x.tar.gz", spool=spool)


def test_a_compressed_file_that_is_no_tar_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"no tar" * 1000))
    with pytest.raises(SourceError, match=r"x\.gz: no folder, list, table, archive"):
        listed(tmp_path / "x.gz")


def test_streams_are_read_forward() -> None:
    made = 0

    def pieces() -> Iterator[bytes]:
        nonlocal made
        for number in range(64):
            made += 1
            yield bytes([number]) * (1 << 20)

    file = ForwardFile(pieces())
    assert file.read_at(10, 3) == bytes(3) and made == 1
    assert file.read_at((20 << 20) - 1, 2) == b"\x13\x14" and file.read_at(19 << 20, 1) == b"\x13"
    assert file.read_at((64 << 20) - 1, 9) == b"\x3f" and file.read_at(1 << 40, 9) == b""
