"""A place in an S3 bucket: list it, and upload files into it, through boto3."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from gpu_pack.errors import OutputError, UsageError
from gpu_pack.stores.address import Address, StoreOptions
from gpu_pack.stores.s3_client import open_s3, translated_errors

_URL = re.compile(r"s3://([^/]+)(?:/(.*))?", re.DOTALL)
#: S3's rules for general purpose buckets.
_BUCKET = re.compile(
    r"(?!.*(\.\.|\.-|-\.))(?!(\d+\.){3}\d+$)(?!xn--|sthree-|amzn-s3-demo-)"
    r"(?!.*(-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
)
#: One request copies 5 GB at most, and its connection says nothing meanwhile.
_COPY_BYTES = 256 << 20
_MAX_KEY_BYTES = 900


@dataclass(frozen=True)
class Place:
    """A prefix in a bucket.

    Attributes:
        bucket: the bucket's name.
        prefix: without slashes at its ends; may be empty.
    """

    bucket: str
    prefix: str

    def key(self, *parts: str) -> str:
        return "/".join(part for part in (self.prefix, *parts) if part)

    def url(self, *parts: str) -> str:
        return f"s3://{self.bucket}/{self.key(*parts)}"


def parse_url(text: str) -> Place:
    """The bucket and the prefix of ``s3://bucket/prefix``.

    Raises:
        UsageError: it is no such address.
    """
    found = _URL.fullmatch(text)
    if found is None:
        raise UsageError(f"{text}: not an S3 address: write s3://BUCKET/PREFIX")
    if _BUCKET.fullmatch(found[1]) is None:
        raise UsageError(
            f"{text}: a bucket name has 3 to 63 lower-case letters, digits, dots and hyphens, a letter or digit first "
            f"and last, no two dots side by side, and is no IP address: {found[1]!r} cannot be one"
        )
    prefix = (found[2] or "").strip("/")
    if "//" in prefix or not prefix.isprintable() or len(prefix.encode("utf-8", "replace")) > _MAX_KEY_BYTES:
        raise UsageError(f"{text}: a prefix has no empty parts, no control characters and at most 900 bytes")
    return Place(found[1], prefix)


class Mark(NamedTuple):
    """Metadata of an object by which a second run knows that it need not be sent again: the sha256 of its bytes, or
    the etag of the object that it was copied from."""

    name: Literal["sha256", "copied-etag"]
    value: str


class Bucket:
    """The bucket of a place, through boto3, which finds credentials, region and endpoint as every AWS tool does.

    Args:
        endpoint_url: another server than the environment's, or AWS.
        copy_bytes: above it, objects are copied in parts of this size, several at once.

    Raises:
        OutputError: boto3 is not installed, or its configuration does not work; every method: S3 refused or did not
            answer.
    """

    def __init__(self, place: Place, endpoint_url: str | None = None, copy_bytes: int = _COPY_BYTES) -> None:
        self.place = place
        self._copy_bytes = copy_bytes
        try:
            import boto3  # noqa: F401 (which the translation of errors needs)
        except ImportError as error:
            raise OutputError(
                f"uploading needs boto3 ({error}): pip install boto3; --dry-run checks without it"
            ) from None
        with self._translated_errors():
            self._client: Any = open_s3(StoreOptions(endpoint_url))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def keys(self, *parts: str) -> list[str]:
        """Keys below ``parts``, at most 1,000, without the empty objects that stand for folders."""
        with self._translated_errors():
            prefix = self.place.key(*parts) + "/"
            found = self._client.list_objects_v2(Bucket=self.place.bucket, Prefix=prefix)
            return [item["Key"] for item in found.get("Contents", ()) if item["Key"] != prefix]

    def holds(self, key: str, size: int, mark: Mark) -> bool | None:
        """Whether an object has these bytes; None if there is no object."""
        from botocore.exceptions import ClientError

        with self._translated_errors():
            try:
                found = self._client.head_object(Bucket=self.place.bucket, Key=key)
            except ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
                    return None
                raise
            return bool(found["ContentLength"] == size and found.get("Metadata", {}).get(mark.name) == mark.value)

    def send(self, path: Path, key: str, mark: Mark, content_type: str, on_bytes: Callable[[int], None]) -> None:
        """Upload a file, a large one in parts; the object appears when it is complete.

        Args:
            on_bytes: called with the number of bytes sent since the last call, from several threads.
        """
        from boto3.exceptions import S3UploadFailedError

        extra = {"ContentType": content_type, "Metadata": {mark.name: mark.value}}
        with self._translated_errors():
            try:
                self._client.upload_file(str(path), self.place.bucket, key, ExtraArgs=extra, Callback=on_bytes)
            except S3UploadFailedError as error:  # the error inside says more
                raise error.__cause__ or error.__context__ or error from None
            except OSError as error:
                raise OutputError(f"{path}: cannot be read: {error.strerror or error}") from error

    def copy(self, source: Address, key: str, mark: Mark, content_type: str, on_bytes: Callable[[int], None]) -> None:
        """Copy an object within S3, a large one in parts; see `send`.

        Args:
            mark: the etag that ``source`` must still have.
        """
        from boto3.s3.transfer import TransferConfig

        extra = {
            "ContentType": content_type,
            "Metadata": {mark.name: mark.value},
            "MetadataDirective": "REPLACE",
            "CopySourceIfMatch": mark.value,
        }
        place = {"Bucket": source.bucket, "Key": source.key}
        parts = TransferConfig(multipart_threshold=self._copy_bytes, multipart_chunksize=self._copy_bytes)
        with self._translated_errors(source):
            self._client.copy(place, self.place.bucket, key, ExtraArgs=extra, Callback=on_bytes, Config=parts)
            there, made = self._client.head_object(**place), self._client.head_object(Bucket=self.place.bucket, Key=key)
        digests = {_digest(there), _digest(made)}
        if there["ContentLength"] != made["ContentLength"] or (None not in digests and len(digests) > 1):
            raise OutputError(f"s3://{self.place.bucket}/{key}: the copy differs from {source}: run it again")

    def region(self, bucket: str) -> str | None:
        """Where a bucket is; None where S3 does not tell."""
        from botocore.exceptions import ClientError

        with self._translated_errors():
            try:
                answer = self._client.head_bucket(Bucket=bucket)["ResponseMetadata"]
            except ClientError as error:
                answer = error.response.get("ResponseMetadata", {})
        found: str | None = answer.get("HTTPHeaders", {}).get("x-amz-bucket-region")
        return found

    def _translated_errors(self, source: Address | None = None) -> AbstractContextManager[None]:
        return translated_errors(self.place.url(), lambda response: self._refusal(response, source))

    def _refusal(self, response: Mapping[str, Any], source: Address | None) -> str:
        """What S3 answered; to a HEAD request it answers with a code alone."""
        error = response.get("Error", {})
        code, message = str(error.get("Code", "")), str(error.get("Message", ""))
        place = self.place.url()
        if source is not None and code in ("PreconditionFailed", "412", "NoSuchKey", "404"):
            return f"{source}: it changed after it was checked: run the same command again"
        if code == "NoSuchBucket":
            return f"{place}: there is no bucket {self.place.bucket}: create it, or name another"
        if code in ("AccessDenied", "403"):
            read = f" there, and s3:GetObject for {source}" if source is not None else " there"
            return f"{place}: S3 denies access: the credentials need s3:ListBucket, s3:GetObject and s3:PutObject{read}"
        told = f"{code}{': ' if message else ''}{message}"
        return f"{place}: S3 answers {told}; the same command again sends what is missing"


def _digest(head: dict[str, Any]) -> str | None:
    """The MD5 of an object's bytes, where its etag is that: not if it was sent in parts, or is encrypted by KMS."""
    etag = str(head.get("ETag", "")).strip('"')
    plain = head.get("ServerSideEncryption") in (None, "AES256") and "SSECustomerAlgorithm" not in head
    return etag if plain and re.fullmatch("[0-9a-f]{32}", etag) else None
