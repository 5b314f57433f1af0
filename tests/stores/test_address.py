"""Addresses are read exactly, and what is wrong with one is said without its secrets."""

from __future__ import annotations

import pytest

from gpu_pack.errors import UsageError
from gpu_pack.stores.address import Address, Retry, StoreOptions, is_address, parse_address
from gpu_pack.stores.local import LocalStore
from gpu_pack.stores.object_store import ObjectStore
from gpu_pack.stores.open_store import open_store


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("s3://bucket", Address("s3", "bucket")),
        ("s3://bucket/", Address("s3", "bucket")),
        ("S3://bucket/a/b c/é+%41/", Address("s3", "bucket", "a/b c/é+%41")),
        ("gs://bucket.of.ours/a", Address("gs", "bucket.of.ours", "a")),
        ("az://container/a?b#c", Address("az", "container", "a?b#c")),
        ("https://host:8443/a%20b/x.tar", Address("https", "host:8443", "a b/x.tar")),
        ("http://[::1]:80/x.tar", Address("http", "[::1]:80", "x.tar")),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert is_address(text) and parse_address(text) == address
    assert parse_address(str(address)) == address, "as it is told, it can be given"


@pytest.mark.parametrize("text", ["photos", "/photos", "C:/photos", "C:\\photos", "./s3/x", "a:b", ""])
def test_paths_are_no_addresses(text: str) -> None:
    assert not is_address(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s3:/bucket/x", "s3:/bucket/x: an address has two slashes: s3://bucket/x"),
        ("s3://", "s3://: '' can be no bucket: write s3://BUCKET/FOLDER"),
        ("s3:///x", "s3:///x: '' can be no bucket: write s3://BUCKET/FOLDER"),
        ("az://no container/x", "'no container' can be no container: write az://CONTAINER/FOLDER"),
        ("https:///x", "no host: write https://HOST/FOLDER/FILE"),
        ("https://host:port/x", "no host: write https://HOST/FOLDER/FILE"),
        (
            "s3a://bucket/x",
            "s3a://: the addresses that are known begin with s3://, gs://, az://, https://: write s3://",
        ),
        ("ftp://host/x", "ftp://: the addresses that are known begin with s3://, gs://, az://, https://"),
        ("s3://bucket/a//b", "a folder in an address has a name"),
        ("gs://bucket/../b", "a folder in an address has a name"),
        ("s3://bucket/a\nb", "no control characters"),
    ],
)
def test_malformed_addresses(text: str, message: str) -> None:
    assert is_address(text)
    with pytest.raises(UsageError) as error:
        parse_address(text)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "s3://me:hunter2@bucket/x",
        "https://hunter2@host/x.tar",
        "https://host/x.tar?X-Amz-Signature=hunter2",
        "https://host/x.tar#hunter2",
    ],
)
def test_secrets_in_an_address_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_address(text)
    assert "hunter2" not in str(error.value)
    with pytest.raises(UsageError) as error:
        StoreOptions(endpoint_url="https://me:hunter2@host")
    assert "hunter2" not in str(error.value)


def test_an_endpoint_is_a_url() -> None:
    with pytest.raises(UsageError, match=r"endpoint_url=localhost:9000 \(--endpoint-url\): write https://HOST"):
        StoreOptions(endpoint_url="localhost:9000")


def test_an_endpoint_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://all:1/")
    assert StoreOptions().endpoint("s3") == "http://all:1"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://s3:1")
    assert StoreOptions().endpoint("s3") == "http://s3:1"
    assert StoreOptions("http://given:1").endpoint("s3") == "http://given:1"
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "localhost:9023")
    assert StoreOptions().endpoint("gs") == "http://localhost:9023"
    assert StoreOptions().endpoint("https") is None


def test_a_path_and_an_address_are_opened() -> None:
    assert open_store("photos") == LocalStore("photos")
    assert open_store("s3://bucket/photos") == ObjectStore(Address("s3", "bucket", "photos"))
    options = StoreOptions(anonymous=True)
    assert open_store("https://host/a", options) == ObjectStore(Address("https", "host", "a"), options)


def test_waiting_doubles_and_is_shortened_by_chance() -> None:
    retry = Retry(tries=9, first_seconds=0.25, most_seconds=4)
    assert [retry.seconds(tried, lambda: 1.0) for tried in range(1, 8)] == [0.25, 0.5, 1, 2, 4, 4, 4]
    assert retry.seconds(2, lambda: 0.0) == 0.25


def test_parts_of_an_address() -> None:
    address = parse_address("s3://bucket/a/x.tar")
    assert (address.name, str(address.parent), str(address.below("y"))) == (
        "x.tar",
        "s3://bucket/a",
        "s3://bucket/a/x.tar/y",
    )
