"""Buckets of an S3 server on loopback, and what lies in them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gpu_pack.stores.address import Retry, StoreOptions

_NUMBERS = itertools.count()
#: Hardly waits between tries.
QUICK = Retry(tries=4, first_seconds=0.01, most_seconds=0.02)


class Bucket:
    """An S3 bucket of its own, as boto3 sees it.

    Attributes:
        name: of the bucket.
        options: to reach it.
    """

    def __init__(self, client: Any, url: str) -> None:
        self.client = client
        self.name = f"output{next(_NUMBERS)}"
        self.options = StoreOptions(url, retry=QUICK)
        client.create_bucket(Bucket=self.name)

    def names(self) -> list[str]:
        """The paths of all objects below ``out``, in it."""
        found = self.client.list_objects_v2(Bucket=self.name, Prefix="out/").get("Contents", ())
        return [item["Key"].removeprefix("out/") for item in found]

    def objects(self) -> dict[str, bytes]:
        """Their bytes, by path; nobody may be writing."""
        read = self.client.get_object
        return {name: read(Bucket=self.name, Key=f"out/{name}")["Body"].read() for name in self.names()}

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def unfinished(self) -> list[str]:
        """Keys of multipart uploads that nobody finished."""
        return [each["Key"] for each in self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", ())]


@contextmanager
def open_bucket(url: str) -> Iterator[Bucket]:
    """A new bucket; the environment has the credentials."""
    client = pytest.importorskip("boto3").client("s3", endpoint_url=url)
    yield Bucket(client, url)
    client.close()
