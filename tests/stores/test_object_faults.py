"""What fails: requests are repeated, one object is rejected, or the run ends with a sentence. Against S3 by a proxy."""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest

from gpu_pack.errors import OutputError, SourceError
from gpu_pack.stores.address import Address, Retry, StoreOptions
from gpu_pack.stores.object_requests import count_retries
from gpu_pack.stores.object_store import ObjectStore
from gpu_pack.types import Entry, Image, Rejected
from tests.folders import ENVIRONMENT
from tests.stores import servers
from tests.stores.faulty_proxy import CUT, RESET, SLOW_DOWN, Failure, Plan, Proxy, always, first, proxy

pytest.importorskip("obstore")
boto3 = pytest.importorskip("boto3")

QUICK = Retry(tries=4, first_seconds=0.01, most_seconds=0.02)
_COUNT = 40
Open = Callable[..., AbstractContextManager[tuple[ObjectStore, Proxy]]]


@pytest.fixture(scope="module")
def bucket(s3_url: str) -> str:
    """Forty objects ``photos/NN``, each of as many bytes as its number and one."""
    with pytest.MonkeyPatch.context() as patch:
        servers.use_s3(patch, s3_url)
        client = boto3.client("s3")
        client.create_bucket(Bucket="faults")
        for number in range(_COUNT):
            client.put_object(Bucket="faults", Key=f"photos/{number:02d}", Body=_data(number))
        client.close()
    return "faults"


@pytest.fixture
def open_store(s3_url: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens a store behind a proxy with a plan."""

    @contextlib.contextmanager
    def open_it(plan: Plan, **changes: Any) -> Iterator[tuple[ObjectStore, Proxy]]:
        with proxy(s3_url, plan) as found:
            servers.use_s3(monkeypatch, found.url)
            options = StoreOptions(**{"endpoint_url": found.url, "retry": QUICK, **changes})
            yield ObjectStore(Address("s3", bucket, "photos"), options), found

    return open_it


def _data(number: int) -> bytes:
    return b"%c" % (number + 33) * (number + 1)


def _entries(sized: bool = True) -> Sequence[Entry]:
    return [Entry(n, (0.0,), f"{n:02d}", n + 1 if sized else None) for n in range(_COUNT)]


# ---- repeated


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("failure", [SLOW_DOWN, RESET, CUT, Failure(status=500), Failure(status=429)])
def test_what_fails_for_a_moment_is_repeated_and_counted(open_store: Open, failure: Failure, sized: bool) -> None:
    entries = _entries(sized)
    with open_store(first(2, failure, "photos/")) as (store, _):
        before = count_retries()
        assert list(store.read_many(entries)) == [Image(entry, _data(entry.key)) for entry in entries]
        assert count_retries() - before == 2 * _COUNT


def test_a_server_that_falls_silent_is_asked_again(open_store: Open) -> None:
    retry = replace(QUICK, stall_seconds=0.5)
    with open_store(first(1, Failure(seconds=2), "photos/07"), retry=retry) as (store, _):
        before = count_retries()
        (found,) = store.read_many([_entries()[7]])
        assert isinstance(found, Image) and count_retries() == before + 1


def test_other_calls_are_repeated_too(open_store: Open) -> None:
    with open_store(first(2, SLOW_DOWN)) as (store, _):
        assert len(store.list("")) == _COUNT
        assert len(list(store.walk())) == _COUNT
        assert store.stat("03").size == 4
        with store.open("03") as file:
            assert file.read_at(1, 9) == _data(3)[1:]
        store.write("../written", b"12")
        assert store.stat("../written").size == 2


# ---- for good


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (SLOW_DOWN, "the store answers 503 SlowDown, 4 times"),
        (RESET, "the connection was lost, 4 times"),
        (CUT, "the connection was lost, 4 times"),
        (Failure(status=403, code="AccessDenied"), "access is denied (403 AccessDenied)"),
        (Failure(status=403, code="InvalidObjectState"), "the store answers 403 InvalidObjectState"),
    ],
)
def test_one_object_that_cannot_be_read_is_rejected(open_store: Open, failure: Failure, reason: str) -> None:
    entries = _entries()
    with open_store(always(failure, "photos/07")) as (store, _):
        found = list(store.read_many(entries))
    assert [item for item in found if isinstance(item, Rejected)] == [
        Rejected(entries[7], "read", reason, "unreadable")
    ]
    assert len(found) == _COUNT


@pytest.mark.parametrize("failure", [SLOW_DOWN, RESET])
def test_a_store_that_answers_nothing_ends_the_run(open_store: Open, failure: Failure) -> None:
    with open_store(always(failure)) as (store, _), pytest.raises(SourceError) as error:
        list(store.read_many(_entries()))
    assert str(error.value).startswith("s3://faults/photos/00: the ")
    assert "4 times, and nothing else was read meanwhile: run the same command again to resume" in str(error.value)


def test_nobody_listens(open_store: Open) -> None:
    with open_store(always(RESET)) as (store, _):
        pass
    with pytest.raises(SourceError, match="s3://faults/photos: there is no connection to the store, 4 times"):
        store.list("")


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (Failure(status=400, code="ExpiredToken"), "s3://faults: the credentials have expired (ExpiredToken)"),
        (
            Failure(status=403, code="InvalidAccessKeyId"),
            "s3://faults: the credentials are not valid (InvalidAccessKeyId)",
        ),
        (
            Failure(status=403, code="SignatureDoesNotMatch", more="<StringToSign>AWS4 secret</StringToSign>"),
            "s3://faults: the credentials are not valid (SignatureDoesNotMatch)",
        ),
        (Failure(status=403, code="RequestTimeTooSkewed"), "s3://faults: this machine's clock is wrong"),
        (
            Failure(status=400, code="AuthorizationHeaderMalformed", more="<Region>eu-west-1</Region>"),
            "s3://faults: the bucket is in region eu-west-1: set AWS_REGION=eu-west-1",
        ),
        (Failure(status=301, code="PermanentRedirect"), "s3://faults: the bucket is in another region: set AWS_REGION"),
        (Failure(status=404, code="NoSuchBucket"), "s3://faults: there is no such bucket"),
    ],
)
def test_what_concerns_all_objects_is_one_sentence_at_once(open_store: Open, failure: Failure, message: str) -> None:
    with open_store(always(failure)) as (store, _):
        attempts: list[Callable[[], object]] = [
            lambda: list(store.read_many(_entries())),
            lambda: list(store.ahead(_entries())) and list(store.read_many(_entries())),
            lambda: store.list(""),
            lambda: list(store.walk()),
            lambda: store.stat("00"),
            lambda: store.open("00"),
        ]
        for attempt in attempts:
            with pytest.raises(SourceError) as error:
                attempt()
            told = str(error.value)
            assert told.startswith(message) and "secret" not in told and "\n" not in told
        with pytest.raises(OutputError) as refused:
            store.write("x", b"")
        assert str(refused.value).startswith(message)


def test_access_denied_to_all_objects_ends_the_run(open_store: Open) -> None:
    entries = [Entry(n, (0.0,), f"{n:03d}", 9) for n in range(300)]
    with open_store(always(Failure(status=403, code="AccessDenied"), "photos/")) as (store, found):
        with pytest.raises(SourceError, match=r"s3://faults/photos/\d+: access is denied .* as it is to all 100"):
            list(store.read_many(entries))
        assert found.gets() < 250
        with pytest.raises(SourceError, match="s3://faults/photos/00: access is denied"):
            store.open("00")
        with pytest.raises(SourceError, match="s3://faults/photos/00: access is denied"):
            store.stat("00")
    with (
        open_store(always(Failure(status=403, code="AccessDenied"), "list-type")) as (store, _),
        pytest.raises(
            SourceError, match=r"s3://faults/photos: cannot be listed: access is denied \(403 AccessDenied\)"
        ),
    ):
        store.list("")


def test_a_bucket_that_is_not_there(open_store: Open) -> None:
    with open_store(lambda *_: None) as (store, _):
        other = ObjectStore(Address("s3", "nowhere", "photos"), store.options)
        for attempt in (lambda: other.list(""), lambda: list(other.walk()), lambda: list(other.read_many(_entries()))):
            with pytest.raises(SourceError, match="s3://nowhere: there is no such bucket"):
                attempt()
        with pytest.raises(SourceError, match="s3://nowhere: there is no such bucket"):
            other.open("x")


# ---- credentials and regions


def test_the_bucket_tells_its_region(open_store: Open) -> None:
    with open_store(lambda *_: None) as (store, found):
        client = boto3.client("s3")
        client.create_bucket(Bucket="in-europe", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        client.close()
        there = ObjectStore(Address("s3", "in-europe"), store.options)
        there.write("x", b"12")
        assert there.stat("x").size == 2
        assert "/eu-west-1/s3/" in found.asked[-1].signed


def test_public_buckets_are_read_without_credentials(open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_store(lambda *_: None, anonymous=True) as (store, found):
        servers.bare_environment(monkeypatch)
        assert len(list(store.read_many(_entries()))) == len(store.list("")) == _COUNT
        assert not any(each.signed for each in found.asked)


def test_a_store_holds_no_credentials(open_store: Open) -> None:
    with open_store(lambda *_: None) as (store, _):
        list(store.read_many(_entries()))
        assert b"secret" not in pickle.dumps(store) and "secret" not in repr(store)


_READ = """
import sys
{before}
from gpu_pack.errors import SourceError
from gpu_pack.stores.open_store import open_store
try:
    open_store({address!r}).list("")
except SourceError as error:
    print(error)
"""


def _told(address: str, before: str = "", **environment: str) -> str:
    """What another process says that has no credentials; it ends within seconds."""
    kept = {name: value for name, value in ENVIRONMENT.items() if not name.startswith(("AWS_", "GOOGLE_", "AZURE_"))}
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "HOME": os.devnull}
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _READ.format(address=address, before=before)],
        env={**kept, **nowhere, "NO_PROXY": "*", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert time.monotonic() - begun < 10
    return done.stdout


@pytest.fixture
def silence() -> Iterator[str]:
    """A server that accepts connections and never answers, as addresses of metadata do on some networks."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("before", ["", "sys.modules['boto3'] = None"])
def test_missing_credentials_are_said_at_once(silence: str, before: str) -> None:
    metadata = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": silence, "AWS_METADATA_ENDPOINT": silence}
    told = _told("s3://bucket/photos", before, AWS_ENDPOINT_URL="http://127.0.0.1:9", **metadata)
    assert told == (
        "s3://bucket: no credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; "
        "public buckets are read without any by anonymous=True (--anonymous)\n"
    )


def test_a_profile_that_is_not_there() -> None:
    told = _told("s3://bucket/photos", AWS_PROFILE="ours", AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert told == "s3://bucket: no credentials: The config profile (ours) could not be found\n"


@pytest.mark.parametrize("address", ["gs://bucket/photos", "az://box/photos"])
def test_other_clouds_name_their_own_credentials(address: str) -> None:
    told = _told(address, AZURE_STORAGE_ACCOUNT="ours")
    wanted = {"gs": "set GOOGLE_APPLICATION_CREDENTIALS", "az": "set AZURE_STORAGE_CONNECTION_STRING"}[address[:2]]
    assert told.startswith(address.removesuffix("/photos") + ": no credentials were found: ") and wanted in told


def test_an_azure_account_is_needed() -> None:
    assert "az://box: no storage account is named: set AZURE_STORAGE" in _told("az://box/photos")


@pytest.mark.parametrize("address", ["s3://bucket/photos", "https://host/x.tar"])
def test_without_obstore(address: str) -> None:
    assert _told(address, "sys.modules['obstore'] = None") == (
        "s3://, gs://, az:// and https:// addresses need obstore: pip install 'gpu-pack[cloud]'\n"
    )
