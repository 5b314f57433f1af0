"""Objects of a folder: written under conditions, uploaded from files, removed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpu_pack.errors import OutputError, OutputLockedError
from gpu_pack.stores.address import Address, StoreOptions
from gpu_pack.stores.object_folder import ObjectFolder
from gpu_pack.stores.unfinished_uploads import abort_unfinished_uploads
from tests.stores import servers
from tests.stores.buckets import QUICK, Bucket, open_bucket
from tests.stores.faulty_proxy import SLOW_DOWN, Failure, first, proxy

pytest.importorskip("obstore")
LARGE = 20 << 20


@pytest.fixture
def bucket(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    servers.use_s3(monkeypatch, s3_url)
    with open_bucket(s3_url) as found:
        yield found


def folder_of(bucket: Bucket, url: str | None = None) -> ObjectFolder:
    options = StoreOptions(url, retry=QUICK) if url else bucket.options
    return ObjectFolder(Address("s3", bucket.name, "a b/ü"), options)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file that goes up in three parts."""
    path = tmp_path / "large"
    path.write_bytes(os.urandom(LARGE))
    return path


def test_conditions(bucket: Bucket) -> None:
    folder = folder_of(bucket)
    first_version = folder.put_if("one", b"1", None)
    assert not isinstance(first_version, str)
    assert folder.put_if("one", b"2", None) == "conflict"
    second = folder.put_if("one", b"3", first_version)
    assert not isinstance(second, str)
    assert folder.put_if("one", b"4", first_version) == "conflict"
    found = folder.look("one")
    assert found is not None and (found.data, found.version) == (b"3", second)
    folder.delete(["one"])
    assert folder.put_if("one", b"5", second) == "conflict"
    assert folder.look("one") is None


def test_many_objects(bucket: Bucket) -> None:
    folder = folder_of(bucket)
    for number in range(70):
        folder.put(f"{number:02d} ü", b"%d" % number)
    assert folder.list().keys() == {f"{number:02d} ü" for number in range(70)}
    names = [f"{number:02d} ü" for number in range(0, 140, 2)]
    assert folder.get_many(names) == {name: b"%d" % int(name[:2]) for name in names[:35]}
    folder.delete(names)
    assert folder.list().keys() == {f"{number:02d} ü" for number in range(1, 70, 2)}


def test_a_large_file_goes_up_in_parts_and_is_what_is_listed(bucket: Bucket, large: Path) -> None:
    folder = folder_of(bucket)
    with proxy(bucket.options.endpoint_url or "", first(1, SLOW_DOWN, "partNumber=2")) as found:
        stat = folder_of(bucket, found.url).put_file("large", large)
    assert len([asked for asked in found.asked if asked[0] == "PUT" and "partNumber" in asked[1]]) >= 3
    assert folder.list() == {"large": stat}
    assert stat.size == LARGE and folder.get("large") == large.read_bytes()
    assert not bucket.unfinished()


def test_an_upload_that_is_stopped_leaves_nothing(bucket: Bucket, large: Path) -> None:
    reads = 0

    def stop() -> None:
        nonlocal reads
        reads += 1
        if reads == 3:
            raise OutputLockedError("another run took over")

    folder = folder_of(bucket)
    with pytest.raises(OutputLockedError, match="another run took over"):
        folder.put_file("large", large, stop)
    assert folder.list() == {} and not bucket.unfinished()


def test_what_a_killed_process_left_is_aborted(bucket: Bucket) -> None:
    folder = folder_of(bucket)
    for key in ("a b/ü/mine", "a b/ü/other", "a b/ü/deep/mine"):
        bucket.client.create_multipart_upload(Bucket=bucket.name, Key=key)
    abort_unfinished_uploads(folder.folder, folder.options, ["mine", "none"])
    assert sorted(bucket.unfinished()) == ["a b/ü/deep/mine", "a b/ü/other"]


def test_errors_are_one_sentence(bucket: Bucket, tmp_path: Path) -> None:
    denied = Failure(status=403, code="AccessDenied", more="<Message>secret</Message>")
    (tmp_path / "file").write_bytes(b"data")
    with proxy(bucket.options.endpoint_url or "", lambda method, _: denied if method == "PUT" else None) as found:
        folder = folder_of(bucket, found.url)
        with pytest.raises(OutputError) as caught:
            folder.put_file("file", tmp_path / "file")
    assert str(caught.value) == (
        f"s3://{bucket.name}/a b/ü/file: cannot be written: access is denied (403 AccessDenied); "
        "the same command resumes the run"
    )
    with pytest.raises(OutputError, match="there is no such bucket"):
        ObjectFolder(Address("s3", "no-such-bucket", "x"), bucket.options).put("file", b"")
