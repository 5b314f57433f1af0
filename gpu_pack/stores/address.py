"""Addresses of object stores: ``s3://``, ``gs://``, ``az://``, ``https://``; and how they are reached."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import quote, unquote, urlsplit

from gpu_pack.errors import UsageError

Scheme = Literal["s3", "gs", "az", "https", "http"]

#: Two letters at least: ``C:/photos`` is a folder of Windows. One slash is no address, but was meant as one.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|(?:s3|gs|az|https?):/", re.IGNORECASE)
_PLACES = {"s3": "BUCKET", "gs": "BUCKET", "az": "CONTAINER", "https": "HOST", "http": "HOST"}
_OTHER_NAMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "azure": "az", "abfs": "az", "abfss": "az", "wasb": "az"}
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}")


def is_address(text: str) -> bool:
    """Whether a text means an object store, and no path; it may still be a malformed address."""
    return _ADDRESS.match(text) is not None


@dataclass(frozen=True)
class Address:
    """A bucket and a key or prefix in it.

    Attributes:
        scheme: of the store; ``http`` only ever as it was written.
        bucket: the bucket, the container, or the host and its port.
        key: with ``/`` between folders, none at the ends; may be empty. Never percent-encoded.
    """

    scheme: Scheme
    bucket: str
    key: str = ""

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def parent(self) -> Address:
        """The folder that the key lies in."""
        return Address(self.scheme, self.bucket, self.key.rpartition("/")[0])

    @property
    def is_web(self) -> bool:
        """Whether it is a web server, which has files and no lists of them."""
        return self.scheme in ("https", "http")

    def below(self, path: str) -> Address:
        """The address of a path in this folder; of a folder, with or without a slash at its end."""
        return Address(self.scheme, self.bucket, "/".join(part for part in (self.key, path.rstrip("/")) if part))

    def holds(self, other: Address) -> bool:
        """Whether another address is this one, or lies in it as in a folder."""
        same = (self.scheme, self.bucket) == (other.scheme, other.bucket)
        return same and (not self.key or f"{other.key}/".startswith(f"{self.key}/"))

    def __str__(self) -> str:
        key = quote(self.key) if self.is_web else self.key
        return f"{self.scheme}://{self.bucket}{'/' if key else ''}{key}"


def parse_address(text: str) -> Address:
    """Read an address.

    Raises:
        UsageError: it is malformed; a name or a password in it is not repeated.
    """
    scheme, colon, rest = text.partition("://")
    scheme = scheme.lower()
    if not colon:
        scheme, _, rest = text.partition(":/")
        raise UsageError(f"{text}: an address has two slashes: {scheme}://{rest}")
    if scheme not in _PLACES:
        meant = f": write {_OTHER_NAMES[scheme]}://" if scheme in _OTHER_NAMES else ""
        known = ", ".join(f"{each}://" for each in get_args(Scheme)[:-1])
        raise UsageError(f"{scheme}://: the addresses that are known begin with {known}{meant}")
    bucket, _, key = rest.partition("/")
    if "@" in bucket:
        raise UsageError(
            f"{scheme}://...@{bucket.rpartition('@')[2]}: an address holds no name and no password: leave them out; "
            "credentials come from the environment"
        )
    if scheme in ("https", "http"):
        bucket, key = _web(scheme, rest)
    elif not _BUCKET.fullmatch(bucket):
        place = _PLACES[scheme]
        raise UsageError(f"{text}: {bucket!r} can be no {place.lower()}: write {scheme}://{place}/FOLDER")
    key = key.strip("/")
    if any(part in ("", ".", "..") for part in key.split("/")) and key:
        raise UsageError(f"{scheme}://{bucket}/{key}: a folder in an address has a name: no //, /./ or /../")
    if not key.isprintable():
        raise UsageError(f"{scheme}://{bucket}: an address has no control characters: {key!r}")
    return Address(scheme, bucket, key)  # type: ignore[arg-type]  # it is one of them


def _web(scheme: str, rest: str) -> tuple[str, str]:
    """Host and path of a URL."""
    parts = urlsplit(f"{scheme}://{rest}")
    try:
        known = bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known or not re.fullmatch(r"[A-Za-z0-9.:\[\]_-]+", parts.netloc):
        raise UsageError(f"{scheme}://{parts.netloc}: no host: write {scheme}://HOST/FOLDER/FILE")
    if parts.query or parts.fragment:
        raise UsageError(
            f"{scheme}://{parts.netloc}{parts.path}: it has a query or a fragment (? or #), and "
            "only plain URLs are read: download the file, or read its bucket by s3://, gs:// or az://"
        )
    return parts.netloc, unquote(parts.path)


@dataclass(frozen=True)
class Retry:
    """How often a request is repeated that the store refused for a moment, or that the network lost.

    Attributes:
        tries: in all.
        stall_seconds: a server that sends nothing for so long has lost the request.
        first_seconds, most_seconds: between two tries; doubled each time, and shortened by chance to half at most.
    """

    tries: int = 9
    first_seconds: float = 0.2
    most_seconds: float = 15.0
    stall_seconds: float = 30.0

    def seconds(self, tried: int, chance: Callable[[], float] = random.random) -> float:
        """How long to wait after so many tries, from 1."""
        longest = min(self.most_seconds, self.first_seconds * 2.0 ** (tried - 1))
        return longest * (0.5 + 0.5 * chance())


@dataclass(frozen=True)
class StoreOptions:
    """How object stores are reached. Credentials are not among it: each process takes them from its environment.

    Attributes:
        endpoint_url: of another server than the cloud's own; None for ``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL``
            (s3), ``STORAGE_EMULATOR_HOST`` (gs), ``AZURE_STORAGE_ENDPOINT`` (az), where set.
        anonymous: read public buckets without credentials.
        retry: see there.

    Raises:
        UsageError: ``endpoint_url`` is no URL.
    """

    endpoint_url: str | None = None
    anonymous: bool = False
    retry: Retry = Retry()

    def __post_init__(self) -> None:
        if self.endpoint_url is None:
            return
        parts = urlsplit(self.endpoint_url)
        if "@" in parts.netloc or parts.query:
            raise UsageError("endpoint_url (--endpoint-url): a URL without a name, a password or a query")
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise UsageError(
                f"endpoint_url={self.endpoint_url} (--endpoint-url): write https://HOST or https://HOST:PORT"
            )

    def endpoint(self, scheme: Scheme) -> str | None:
        """The other server's URL, without a slash at its end; None for the cloud's own."""
        given = self.endpoint_url
        for name in () if given else _ENDPOINT_VARIABLES.get(scheme, ()):
            given = given or os.environ.get(name)
        if given and "://" not in given:
            given = f"http://{given}"
        return given.rstrip("/") if given else None


_ENDPOINT_VARIABLES = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "gs": ("STORAGE_EMULATOR_HOST",),
    "az": ("AZURE_STORAGE_ENDPOINT",),
}
