"""Sources in a bucket: listed and read as the same local folder is."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path

import pytest

from gpu_pack.errors import ListError, SourceError, UsageError
from gpu_pack.sources.list_source import list_source
from gpu_pack.sources.listing import Listing, entries
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.spool import Spool
from gpu_pack.types import Image
from tests.folders import write_picture
from tests.sources.test_records import with_magic
from tests.stores import servers
from tests.tools.datasets import pack_dataset, smooth_jpeg
from tests.tools.foreign_records import write_rec

pytest.importorskip("obstore")
boto3 = pytest.importorskip("boto3")

NAMES = ("train/b b/ä.jpg", "train/a/sub/2.jpg", "train/a/1.jpg", "val/a/3.JPG", "val/b b/nosuffix")
Upload = Callable[..., str]


@pytest.fixture
def upload(s3_url: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Upload:
    """Puts a local folder into a bucket of its own; gives the address."""
    servers.use_s3(monkeypatch, s3_url)
    bucket = f"sources{abs(hash(request.node.name))}"

    def put(folder: Path) -> str:
        client = boto3.client("s3")
        client.create_bucket(Bucket=bucket)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                client.put_object(Bucket=bucket, Key=f"in/{path.relative_to(folder)}", Body=path.read_bytes())
        client.close()
        return f"s3://{bucket}/in"

    return put


def listed(source: str | Path, **options: str) -> Listing:
    with Spool(None) as spool:
        return list_source([str(source)], SourceOptions(**options), spool)  # type: ignore[arg-type]


def test_a_bucket_is_listed_and_read_as_the_folder_is(tmp_path: Path, upload: Upload) -> None:
    for number, name in enumerate(NAMES):
        write_picture(tmp_path / f"{name}.jpg", number)
        (tmp_path / f"{name}.jpg").rename(tmp_path / name)
    for name in ("train/a/.DS_Store", "train/a/notes.txt", "train/a/._1.jpg", "val/a/empty.txt"):
        (tmp_path / name).write_bytes(b"" if "empty" in name else b"\0\5")
    here, there = listed(tmp_path), listed(upload(tmp_path))
    for name in ("keys", "labels", "paths", "sizes", "classes", "own_splits", "skipped", "notices"):
        assert getattr(there, name) == getattr(here, name), name
    assert len(there) == 5 and there.skipped == {".txt": 2}
    images = there.store.read_many(there.store.ahead(entries(there, there.keys)))
    assert [item.data for item in images if isinstance(item, Image)] == [
        (tmp_path / path).read_bytes() for path in there.paths
    ]
    assert min(there.versions) > 0


def test_folders_that_fit_a_pattern(tmp_path: Path, upload: Upload) -> None:
    for number, name in enumerate(("x1/a/1.jpg", "x2/b/2.jpg", "y/c/3.jpg")):
        write_picture(tmp_path / name, number)
    address = upload(tmp_path)
    found = listed(f"{address}/x*")
    assert found.paths == [f"{address}/x1/a/1.jpg", f"{address}/x2/b/2.jpg"] and found.classes == ("a", "b")
    assert listed(address + "/{x1,y}").classes == ("a", "c")
    with pytest.raises(SourceError, match=r"in/z\*: no file or folder fits this pattern"):
        listed(f"{address}/z*")
    with pytest.raises(UsageError, match="a pattern stands in the last part of an address only"):
        listed(f"{address}/*/x")


def test_a_folder_that_is_not_there(tmp_path: Path, upload: Upload) -> None:
    write_picture(tmp_path / "a/1.jpg", 1)
    address = upload(tmp_path)
    with pytest.raises(SourceError, match="in/missing"):
        listed(f"{address}/missing")


def test_records_in_a_bucket_are_those_of_the_folder(tmp_path: Path, upload: Upload) -> None:
    out = pack_dataset(tmp_path)
    address = upload(out)
    here, there = listed(out), listed(address)
    for name in ("keys", "labels", "paths", "sizes", "classes", "own_splits", "notices"):
        assert getattr(there, name) == getattr(here, name), name
    split = write_rec(tmp_path / "split/a.rec", [(4, 4, 1, with_magic(0)), (2, 2, 0, smooth_jpeg(1))])
    client = boto3.client("s3")
    client.upload_file(str(split), address.split("/")[2], "in/a.rec")
    client.close()
    with Spool(tmp_path / "spool") as spool:
        found = list_source([f"{address}/a.rec"], SourceOptions(), spool)
        images = list(found.store.read_many(found.store.ahead(entries(found, array("q", [0, 1])))))
    assert [item.data for item in images if isinstance(item, Image)] == [with_magic(0), smooth_jpeg(1)]


def test_a_list_below_a_bucket_is_looked_up_in_lists_of_its_folders(tmp_path: Path, upload: Upload) -> None:
    for number, name in enumerate(("a/1.jpg", "b/2.jpg")):
        write_picture(tmp_path / name, number)
    (tmp_path / "my.lst").write_text("5\t1\ta\\1.jpg\n7\t0\tb/2.jpg\n9\t0\tb/gone.jpg\n11\t1\tc/gone.jpg\n")
    address = upload(tmp_path)
    here = listed(tmp_path / "my.lst")
    for there in (listed(f"{address}/my.lst"), listed(tmp_path / "my.lst", root=address)):
        assert (there.keys, there.labels, there.paths, there.sizes) == (here.keys, here.labels, here.paths, here.sizes)
        assert there.notices == here.notices and list(there.sizes)[2:] == [-1, -1]
    boto3.client("s3").put_object(Bucket=address.split("/")[2], Key="in/bad.lst", Body=b"5\t1\ta/1.jpg\n5\t1\n")
    with pytest.raises(ListError, match=f"{address}/bad.lst:2: "):
        listed(f"{address}/bad.lst")
    with pytest.raises(SourceError, match=r"my.lst:1: .* leads out of"):
        (tmp_path / "my.lst").write_text("5\t1\t/a/1.jpg\n")
        listed(tmp_path / "my.lst", root=address)
