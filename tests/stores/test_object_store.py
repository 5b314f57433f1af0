"""Object stores: the contract of a store, against real servers."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpu_pack.stores.address import Address, Retry, StoreOptions
from gpu_pack.stores.object_store import ObjectStore
from tests.stores import servers
from tests.stores.faulty_proxy import proxy
from tests.stores.store_contract import StoreContract

pytest.importorskip("obstore")
boto3 = pytest.importorskip("boto3")

_NUMBERS = itertools.count()
#: Hardly waits between tries.
QUICK = Retry(tries=4, first_seconds=0.01, most_seconds=0.02)


class TestS3Store(StoreContract):
    @pytest.fixture(autouse=True)
    def environment(self, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        servers.use_s3(monkeypatch, s3_url)

    def open_store(self, folder: Path) -> ObjectStore:
        bucket = f"bucket{next(_NUMBERS)}"
        client = boto3.client("s3")
        client.create_bucket(Bucket=bucket)
        client.put_object(Bucket=bucket, Key="some prefix/sub/", Body=b"")
        client.close()
        return ObjectStore(Address("s3", bucket, "some prefix"), StoreOptions(retry=QUICK))


class TestGcsStore(StoreContract):
    @pytest.fixture(autouse=True)
    def environment(self, gcs_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        servers.bare_environment(monkeypatch)
        with proxy(gcs_url, mend_put=True) as found:
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", found.url)
            yield

    def open_store(self, folder: Path) -> ObjectStore:
        bucket = f"bucket{next(_NUMBERS)}"
        url = os.environ["STORAGE_EMULATOR_HOST"]
        servers.make_gcs_folder(url, bucket, "some prefix/sub")
        return ObjectStore(Address("gs", bucket, "some prefix"), StoreOptions(retry=QUICK))


class TestAzureStore(StoreContract):
    @pytest.fixture(autouse=True)
    def environment(self, azure_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        servers.bare_environment(monkeypatch)
        text = f"AccountName={servers.AZURE_ACCOUNT};AccountKey={servers.AZURE_KEY};BlobEndpoint={azure_url};"
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text)

    def open_store(self, folder: Path) -> ObjectStore:
        container = f"container{next(_NUMBERS)}"
        url = os.environ["AZURE_STORAGE_CONNECTION_STRING"].partition("BlobEndpoint=")[2].rstrip(";")
        servers.make_azure_folder(url, container, "some%20prefix/sub")
        return ObjectStore(Address("az", container, "some prefix"), StoreOptions(retry=QUICK))
