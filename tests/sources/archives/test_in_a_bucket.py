"""Archives in a bucket: members are ranges of the object, and compressed ones are spooled."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gpu_pack.sources.spool import Spool
from tests.folders import write_picture
from tests.sources.archives.making import listed, read_all, tar_bytes, tar_of
from tests.stores import servers

pytest.importorskip("obstore")
boto3 = pytest.importorskip("boto3")


def test_archives_in_a_bucket_are_read_as_local_ones_are(
    tmp_path: Path, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers.use_s3(monkeypatch, s3_url)
    photos, local = tmp_path / "photos", tmp_path / "in"
    local.mkdir()
    for number, name in enumerate(("ant/1.jpg", "bee/2.jpg", "bee/sub/3.jpg")):
        write_picture(photos / name, number)
    tar_of(photos, local / "x.tar")
    tar_of(photos, local / "x.tar.gz", "w:gz")
    shutil.make_archive(str(local / "x"), "zip", photos)
    samples = {"0.jpg": (photos / "ant/1.jpg").read_bytes(), "0.cls": b"7"}
    for number in range(2):
        (local / f"shard-{number}.tar").write_bytes(tar_bytes(samples))
    client = boto3.client("s3")
    client.create_bucket(Bucket="archives")
    for path in local.iterdir():
        client.put_object(Bucket="archives", Key=f"in/{path.name}", Body=path.read_bytes())
    client.close()
    for name in ("x.tar", "x.tar.gz", "x.zip", "shard-{0..1}.tar"):
        with Spool(tmp_path / "spool") as spool:
            here, there = listed(local / name, spool=spool), listed(f"s3://archives/in/{name}", spool=spool)
            assert (there.paths, there.labels, there.sizes) == (here.paths, here.labels, here.sizes)
            assert read_all(there) == read_all(here) and len(read_all(here)) == (2 if "shard" in name else 3)
