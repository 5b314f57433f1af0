"""create --merge and publish --merge: the files of a run with one shard a split, on every kind of store."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import gpu_pack
from gpu_pack.errors import OutputExistsError
from gpu_pack.stores.address import StoreOptions
from gpu_pack.stores.object_upload import StreamedUpload
from gpu_pack.stores.s3_upload import S3Upload
from tests.folders import Run
from tests.pipeline.runs import Killed
from tests.pipeline.store.outputs import OPTIONS, Output, interrupt
from tests.stores import servers
from tests.stores.faulty_proxy import proxy

pytest.importorskip("obstore")

#: 6 MB each, which a part of S3 may have.
EDGE = 1420


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise that does not compress: five pictures in two classes."""
    root = tmp_path_factory.mktemp("large") / "noise"
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 255, (EDGE, EDGE, 3), np.uint8)
        path = root / f"c{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), pixels, [cv2.IMWRITE_PNG_COMPRESSION, 0])
    return root


def records_of(files: dict[str, bytes]) -> dict[str, bytes]:
    """All files but the manifest."""
    return {name: data for name, data in files.items() if name != "manifest.json"}


def in_one(source: Path, tmp_path: Path, **options: Any) -> dict[str, bytes]:
    """What a run with one shard a split writes."""
    whole = dataclasses.replace(OPTIONS, division=gpu_pack.Division(OPTIONS.division.splits))
    gpu_pack.create(source, tmp_path / "whole", whole, **options)
    return records_of({path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()})


def test_in_a_folder(source: Path, tmp_path: Path) -> None:
    report = gpu_pack.create(source, tmp_path / "out", OPTIONS, merge=True)
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert records_of(files) == in_one(source, tmp_path)
    assert report.splits["train"].shards == ["train.rec"] and "sha256" in report.files["train.rec"]
    assert gpu_pack.verify(tmp_path / "out").ok


def test_small_shards_on_s3_pass_through_this_machine(out: Output, source: Path, tmp_path: Path) -> None:
    gpu_pack.create(source, out.address, out.options(), merge=True)
    assert records_of(out.objects()) == in_one(source, tmp_path)
    assert gpu_pack.verify(out.address, endpoint_url=out.bucket.options.endpoint_url).ok
    assert not out.bucket.unfinished() and not out.left()


def test_s3_joins_large_shards_by_itself(out: Output, large: Path, s3_url: str, tmp_path: Path) -> None:
    with proxy(s3_url) as counted:
        options = dataclasses.replace(out.options(url=counted.url), spec=gpu_pack.TransformSpec(pass_through=True))
        report = gpu_pack.create(large, out.address, options, shards=3, merge=True)
        assert counted.bytes_of("of-00003.rec") < 10_000, "no shard is read"
        sent = counted.bytes_to("/train.rec")
        assert sent < 10_000, "and nothing of it is sent again"
        assert sum(bool(each.copied) for each in counted.asked) == 3
    assert records_of(out.objects()) == in_one(large, tmp_path, pass_through=True)
    described = report.files["train.rec"]
    assert [part["bytes"] for part in described["parts"]] == [described["bytes"] * n // 5 for n in (1, 2, 2)]
    url = out.bucket.options.endpoint_url
    assert gpu_pack.verify(out.address, endpoint_url=url).ok and gpu_pack.inspect(out.address, endpoint_url=url).ok
    data = bytearray(out.bucket.objects()["train.rec"])
    data[EDGE * EDGE * 3 * 4] ^= 1
    out.bucket.put("out/train.rec", bytes(data))
    (fault,) = (each for each in gpu_pack.verify(out.address, endpoint_url=url).faults if "sha256" in each.what)
    assert "the sha256 from byte " in fault.what, "the part that has it is named"


def test_gcs_joins_through_this_machine(
    gcs_url: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With small files: the server in these tests knows no uploads in parts."""
    servers.bare_environment(monkeypatch)
    with proxy(gcs_url, mend_put=True) as mended:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", mended.url)
        servers.make_gcs_folder(gcs_url, "joined", "out")
        report = gpu_pack.create(source, "gs://joined/out", OPTIONS, staging=tmp_path / "staging", merge=True)
        checked = gpu_pack.verify("gs://joined/out")
        assert checked.ok, checked.faults
    whole = in_one(source, tmp_path)
    for name in ("train.rec", "train.idx", "train.lst"):
        sums = {"bytes": len(whole[name]), "sha256": hashlib.sha256(whole[name]).hexdigest()}
        assert report.files[name] == sums, "its sha256 is known"


def test_what_was_killed_while_it_joined_is_joined_anew(
    out: Output, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise Killed

    interrupt(out, source, 1, merge=True)
    for method in ("finish", "abort"):
        monkeypatch.setattr(S3Upload, method, die)
    with pytest.raises(Killed):
        gpu_pack.create(source, out.address, out.options(), merge=True)
    assert out.bucket.unfinished() == ["out/train.rec"] and "manifest.json" not in out.bucket.names()
    monkeypatch.undo()
    servers.use_s3(monkeypatch, str(out.bucket.options.endpoint_url))
    report = gpu_pack.create(source, out.address, out.options("other machine"), merge=True)
    assert records_of(out.objects()) == in_one(source, tmp_path)
    assert not out.bucket.unfinished() and report.resumed == 36


def test_a_run_that_is_resumed_without_merge_leaves_nothing_of_it(
    out: Output, source: Path, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise Killed

    finish = S3Upload.finish
    monkeypatch.setattr(S3Upload, "finish", lambda self: finish(self) if "train.rec" in str(self._target) else die())
    monkeypatch.setattr(S3Upload, "abort", lambda self: None if "train.rec" in str(self._target) else die())
    with pytest.raises(Killed):
        gpu_pack.create(source, out.address, out.options(), merge=True)
    assert "train.rec" in out.bucket.names() and out.bucket.unfinished() == ["out/train.idx"]
    monkeypatch.undo()
    servers.use_s3(monkeypatch, str(out.bucket.options.endpoint_url))
    gpu_pack.create(source, out.address, out.options("other machine"))
    assert records_of(out.objects()) == records_of(undisturbed)
    assert not out.bucket.unfinished()


def test_a_run_in_the_way_is_cleared_with_what_it_joined(out: Output, source: Path, tmp_path: Path) -> None:
    gpu_pack.create(source, out.address, out.options(), merge=True)
    with pytest.raises(OutputExistsError, match="a finished run lies there"):
        gpu_pack.create(source, out.address, out.options(), merge=True)
    gpu_pack.create(source, out.address, out.options(), overwrite=True)
    assert "train.rec" not in out.bucket.names() and "train-00003-of-00004.rec" in out.bucket.names()
    gpu_pack.create(source, out.address, out.options(), overwrite=True, merge=True)
    assert records_of(out.objects()) == in_one(source, tmp_path)


def test_other_objects_are_not_replaced(out: Output, source: Path) -> None:
    out.bucket.put("out/train-00001-of-00004.rec", b"mine")
    with pytest.raises(OutputExistsError, match=r"train-00001-of-00004\.rec is there already"):
        gpu_pack.create(source, out.address, out.options(), merge=True)
    assert out.bucket.objects() == {"train-00001-of-00004.rec": b"mine"}


def test_publish_joins_what_was_packed_apart(out: Output, source: Path, tmp_path: Path, gpu_pack_command: Run) -> None:
    more = ("--staging", tmp_path / "here")
    args = (source, out.address, "--size", 24, "--shards", 4, "--device", "cpu", "--workers", 1)
    gpu_pack_command("plan", *args, *more)
    gpu_pack_command("pack", out.address, *more, "--workers", 1)
    done = gpu_pack_command("publish", out.address, *more, "--merge", "--json")
    assert json.loads(done.stdout)["splits"]["train"]["shards"] == ["train.rec"]
    assert records_of(out.objects()) == in_one(source, tmp_path)


def test_without_boto3_all_bytes_pass_through_this_machine(
    out: Output, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gpu_pack.stores.s3_upload.open_s3", _no_boto3)
    options = dataclasses.replace(out.options(), spec=gpu_pack.TransformSpec(pass_through=True))
    report = gpu_pack.create(large, out.address, options, shards=3, merge=True)
    assert "without boto3, all bytes pass through this machine" in caplog.text
    assert "sha256" in report.files["train.rec"]
    assert records_of(out.objects()) == in_one(large, tmp_path, pass_through=True)


def _no_boto3(*_: object) -> None:
    raise ImportError("boto3")


def test_an_upload_that_is_given_up_leaves_nothing(out: Output) -> None:
    from gpu_pack.stores.address import parse_address
    from gpu_pack.stores.remote_path import RemotePath

    options = StoreOptions(out.bucket.options.endpoint_url)
    target = RemotePath(parse_address(f"{out.address}/some"), options)
    for kind in (S3Upload, StreamedUpload):
        upload = kind(target)
        upload.write(bytes(20 << 20))
        upload.abort()
        assert not out.bucket.objects()
