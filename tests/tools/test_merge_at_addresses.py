"""merge and divide at addresses: the files of a merge in folders, and on S3 their bytes stay where they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

import gpu_pack
from gpu_pack.errors import OutputExistsError, OutputLockedError, SourceError, UsageError
from gpu_pack.sagemaker.options import JobOptions
from gpu_pack.sagemaker.upload import upload
from gpu_pack.stores.address import parse_address
from gpu_pack.stores.lease import Lease, LeaseSettings
from gpu_pack.stores.object_folder import ObjectFolder
from gpu_pack.stores.s3_upload import S3Upload
from gpu_pack.types import Progress
from tests.folders import Run
from tests.pipeline.runs import Killed
from tests.stores import servers
from tests.stores.buckets import Bucket, open_bucket
from tests.stores.faulty_proxy import proxy
from tests.tools.datasets import smooth_jpeg
from tests.tools.foreign_records import write_rec
from tests.tools.test_merge import pack

pytest.importorskip("obstore")


@pytest.fixture
def bucket(s3_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    servers.use_s3(monkeypatch, s3_url)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with open_bucket(s3_url) as found:
        yield found


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards of 13 MB, of noise; one picture is rejected."""
    folder = tmp_path_factory.mktemp("shards")
    for number in range(6):
        path = folder / "noise" / f"c{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (1500, 1500, 3), np.uint8)
        cv2.imwrite(str(path), pixels, [cv2.IMWRITE_PNG_COMPRESSION, 0])
    (folder / "noise/c0/torn.png").write_bytes(b"\x89PNG")
    gpu_pack.create(folder / "noise", folder / "out", pass_through=True, shards=3)
    return folder / "out"


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two datasets with other classes, numbers and splits."""
    folder = tmp_path_factory.mktemp("pets")
    a = pack(folder, "a", {"cat": 6, "dog": 6}, splits={"train": 0.5, "val": 0.5})
    return a, pack(folder, "b", {"ant": 3, "dog": 5}, shards=2)


def put(bucket: Bucket, folder: Path, name: str) -> str:
    for path in folder.iterdir():
        bucket.put(f"{name}/{path.name}", path.read_bytes())
    return f"s3://{bucket.name}/{name}"


def files(folder: Path) -> dict[str, bytes]:
    """All files but the manifest."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}


def objects(bucket: Bucket) -> dict[str, bytes]:
    return {name: data for name, data in bucket.objects().items() if name != "manifest.json"}


def test_s3_joins_the_shards_of_a_dataset_by_itself(bucket: Bucket, shards: Path, s3_url: str, tmp_path: Path) -> None:
    source = put(bucket, shards, "in")
    with proxy(s3_url) as counted:
        report = gpu_pack.merge(source, f"s3://{bucket.name}/out", endpoint_url=counted.url)
        assert counted.bytes_of(".rec") < 10_000 and counted.bytes_to(".rec") < 10_000, "no record passes by here"
        assert sum(bool(each.copied) for each in counted.asked) == 3
    local = gpu_pack.merge(shards, tmp_path / "out")
    assert objects(bucket) == files(tmp_path / "out")
    assert report.records == local.records == 6 and report.splits == local.splits
    published = json.loads((shards / "manifest.json").read_text())["files"]
    names = [f"train-0000{number}-of-00003.rec" for number in range(3)]
    assert report.files["train.rec"]["parts"] == [published[name] for name in names]
    assert [each["sha256"] for each in report.inputs] == [published[name]["sha256"] for name in names]
    checked = gpu_pack.verify(f"s3://{bucket.name}/out")
    assert checked.ok, checked.faults
    again = gpu_pack.merge(f"s3://{bucket.name}/out", tmp_path / "again")
    assert files(tmp_path / "again") == files(tmp_path / "out")
    assert again.inputs[0]["parts"] == report.files["train.rec"]["parts"]
    assert "sha256" in again.files["train.rec"], "all bytes were read"


def test_a_file_of_parts_is_checked_and_uploaded_from_a_folder(bucket: Bucket, shards: Path, tmp_path: Path) -> None:
    source = put(bucket, shards, "in")
    gpu_pack.merge(source, f"s3://{bucket.name}/out")
    for name, data in bucket.objects().items():
        (tmp_path / name).write_bytes(data)
    assert gpu_pack.verify(tmp_path).ok
    options = JobOptions(
        train_from=tmp_path / "train.rec", validation_from=shards / "train-00000-of-00003.rec", dry_run=True
    )
    assert not [fault for fault in upload(None, f"s3://{bucket.name}/job", options).faults if "published" in fault]
    data = bytearray((tmp_path / "train.rec").read_bytes())
    data[-5] ^= 1
    (tmp_path / "train.rec").write_bytes(data)
    assert [fault for fault in upload(None, f"s3://{bucket.name}/job", options).faults if "published" in fault]


def test_small_pieces_between_large_ones(bucket: Bucket, shards: Path, s3_url: str, tmp_path: Path) -> None:
    """Records of another writer before them, and some whose keys change after them: little is read to fill a part."""
    small = pack(tmp_path, "a", {"c0": 3, "c1": 2})
    other = write_rec(tmp_path / "other/train.rec", [(key, key, key % 2, smooth_jpeg(key)) for key in range(90, 99)])
    other.with_name("classes.txt").write_text("c0\nc1\n")
    given = [put(bucket, other.parent, "other"), put(bucket, shards, "in"), put(bucket, small, "small")]
    with proxy(s3_url) as counted:
        gpu_pack.merge(given, f"s3://{bucket.name}/out", endpoint_url=counted.url, split="all")
        assert counted.bytes_of("/in/train-00000-of-00003.rec") <= 5 << 20, "the first bytes fill a part"
        assert counted.bytes_of("/in/train-00001-of-00003.rec") < 10_000
    gpu_pack.merge([other.parent, shards, small], tmp_path / "out", split="all")
    assert objects(bucket) == files(tmp_path / "out")
    checked = gpu_pack.verify(f"s3://{bucket.name}/out")
    assert checked.ok and checked.records == 20, checked.faults


def test_every_way_between_folders_and_buckets(bucket: Bucket, pets: tuple[Path, Path], tmp_path: Path) -> None:
    gpu_pack.merge(pets, tmp_path / "out")
    a, b = put(bucket, pets[0], "a"), put(bucket, pets[1], "b")
    gpu_pack.merge([a, pets[1]], tmp_path / "here")
    assert files(tmp_path / "here") == files(tmp_path / "out")
    gpu_pack.merge([pets[0], f"{b}/train-*.rec"], f"s3://{bucket.name}/out")
    assert objects(bucket) == files(tmp_path / "out")
    with pytest.raises(SourceError, match=r"no-\*\.rec: no \.rec file matches"):
        gpu_pack.merge(f"{b}/no-*.rec", tmp_path / "none")
    with pytest.raises(UsageError, match="named twice"):
        gpu_pack.merge([b, f"{b}/train-00000-of-00002.rec"], tmp_path / "none")
    for place in (a, f"{a}/inner", f"s3://{bucket.name}"):
        with pytest.raises(UsageError, match="lie in one another"):
            gpu_pack.merge([a, b], place, overwrite=True)


def test_gcs_joins_through_this_machine(
    gcs_url: str, pets: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers.bare_environment(monkeypatch)
    with proxy(gcs_url, mend_put=True) as mended:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", mended.url)
        servers.make_gcs_folder(gcs_url, "merged", "out")
        report = gpu_pack.merge(pets, "gs://merged/out", staging=tmp_path / "staging")
        assert gpu_pack.verify("gs://merged/out").ok
    local = gpu_pack.merge(pets, tmp_path / "out")
    assert report.files == local.files


def test_a_damaged_shard_is_found_where_its_bytes_pass_by(
    bucket: Bucket, pets: tuple[Path, Path], tmp_path: Path
) -> None:
    source = put(bucket, pets[1], "in")
    name = "train-00001-of-00002.rec"
    data = bytearray((pets[1] / name).read_bytes())
    data[-40] ^= 1
    bucket.put(f"in/{name}", bytes(data))
    with pytest.raises(SourceError, match="its bytes are not those that its manifest tells of"):
        gpu_pack.merge(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_objects_stay_and_an_earlier_merge_is_replaced(
    bucket: Bucket, pets: tuple[Path, Path], tmp_path: Path
) -> None:
    out = f"s3://{bucket.name}/out"
    bucket.put("out/mine.txt", b"mine")
    with pytest.raises(OutputExistsError, match=r"mine\.txt is there already"):
        gpu_pack.merge(pets, out)
    bucket.delete("out/mine.txt")
    gpu_pack.merge(pets, out)
    with pytest.raises(OutputExistsError, match=r"is there already"):
        gpu_pack.merge(pets[1], out)
    gpu_pack.merge(pets[1], out, overwrite=True)
    gpu_pack.merge(pets[1], tmp_path / "out")
    assert objects(bucket) == files(tmp_path / "out")


def test_one_that_ends_leaves_nothing_and_a_killed_one_begins_anew(
    bucket: Bucket, pets: tuple[Path, Path], shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = f"s3://{bucket.name}/out"

    def interrupt(state: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gpu_pack.merge(pets, out, on_progress=interrupt)
    assert not bucket.objects() and not bucket.unfinished()

    def die(*_: object) -> None:
        raise Killed

    source = put(bucket, shards, "in")
    with monkeypatch.context() as killed:
        for name in ("finish", "abort"):
            killed.setattr(S3Upload, name, die)
        killed.setattr("gpu_pack.output.store_staging.StoreStaging.clear", lambda self: None)
        killed.setattr("gpu_pack.stores.lease.Lease.release", lambda self: self._ended.set())
        with pytest.raises(Killed):
            gpu_pack.merge(source, out)
    assert bucket.unfinished() == ["out/train.rec"] and "manifest.json" not in bucket.names()
    gpu_pack.merge(source, out)
    gpu_pack.merge(shards, tmp_path / "out")
    assert objects(bucket) == files(tmp_path / "out") and not bucket.unfinished()


def test_one_that_was_killed_before_it_published_begins_anew(
    bucket: Bucket, pets: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise Killed

    out = f"s3://{bucket.name}/out"
    with monkeypatch.context() as killed:
        killed.setattr("gpu_pack.output.store_output.StoreOutput.decide", die)
        with pytest.raises(Killed):
            gpu_pack.merge(pets, out)
    assert "classes.txt" in bucket.objects() and "manifest.json" not in bucket.objects()
    bucket.put("out/mine.txt", b"mine")
    with pytest.raises(OutputExistsError, match=r"mine\.txt is there already"):
        gpu_pack.merge(pets, out)
    bucket.delete("out/mine.txt")
    gpu_pack.merge(pets, out)
    gpu_pack.merge(pets, tmp_path / "out")
    assert objects(bucket) == files(tmp_path / "out")


def test_two_do_not_write_at_the_same_time(bucket: Bucket, pets: tuple[Path, Path]) -> None:
    out = f"s3://{bucket.name}/out"
    notes = ObjectFolder(parse_address(f"{out}/.gpu-pack"), bucket.options)
    lease = Lease(notes, out, LeaseSettings(), "another machine")
    with pytest.raises(OutputLockedError, match="is writing there"):
        gpu_pack.merge(pets, out)
    lease.release()
    assert gpu_pack.merge(pets, out).records == 20


def test_divide_writes_into_a_bucket(bucket: Bucket, pets: tuple[Path, Path], tmp_path: Path) -> None:
    report = gpu_pack.divide(pets[0], f"s3://{bucket.name}/out", "label")
    gpu_pack.divide(pets[0], tmp_path / "out", "label")
    assert objects(bucket) == files(tmp_path / "out")
    assert gpu_pack.verify(report.out).ok


def test_the_command(bucket: Bucket, pets: tuple[Path, Path], gpu_pack_command: Run, tmp_path: Path) -> None:
    a, out = put(bucket, pets[0], "a"), f"s3://{bucket.name}/out"
    done = gpu_pack_command("merge", a, pets[1], out, "--staging", tmp_path / "staging")
    assert "train: 14 records in train.rec" in done.stderr
    assert gpu_pack_command("verify", out).returncode == 0
