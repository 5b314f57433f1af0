"""An object of S3 that is written in parts: bytes of this machine, and ranges of objects that S3 copies by itself.

Every part but the last has 5 MiB at least, as S3 wants. What is smaller (a small object, or what is between two copies)
is read and sent by this machine, together with the first bytes of the next object where they are needed to fill a part.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from typing import Any

from gpu_pack.errors import OutputError
from gpu_pack.stores.object_upload import MAX_PARTS, PART_BYTES, PARTS_AT_ONCE, part_size
from gpu_pack.stores.remote_path import RemotePath
from gpu_pack.stores.s3_client import open_s3, translated_errors

_LEAST_BYTES = 5 << 20
#: One request copies 5 GB at most, and its connection says nothing meanwhile.
_COPY_BYTES = 256 << 20
_COPIES_AT_ONCE = 16
#: Copies that wait for a connection; more only take memory.
_WAITING = 64


class S3Upload:
    """An `Upload` through boto3.

    Args:
        target: the object.
        expected: its size in bytes, about.
        part_bytes, copy_bytes: of parts that are sent, and that are copied.

    Raises:
        ImportError: boto3 is not installed.
        OutputError: see `Upload`.
    """

    def __init__(
        self, target: RemotePath, expected: int = 0, part_bytes: int = PART_BYTES, copy_bytes: int = _COPY_BYTES
    ) -> None:
        self._target = target
        self._part_bytes, self._copy_bytes = part_size(expected, part_bytes), part_size(expected, copy_bytes)
        self._client = open_s3(target.options, _COPIES_AT_ONCE)
        self._pool = ThreadPoolExecutor(_COPIES_AT_ONCE, thread_name_prefix="s3-upload")
        self._place = {"Bucket": target.address.bucket, "Key": target.address.key}
        self._pending = bytearray()
        self._parts: list[Future[dict[str, Any]]] = []
        self._sending: deque[Future[dict[str, Any]]] = deque()
        self._copying: deque[Future[dict[str, Any]]] = deque()
        self._size = 0
        self._id: str | None = None
        with self._errors():
            self._id = self._client.create_multipart_upload(**self._place, ContentType="application/octet-stream")[
                "UploadId"
            ]

    def write(self, data: bytes | memoryview) -> None:
        """See `Upload.write`."""
        self._size += len(data)
        rest = memoryview(data)
        while rest:
            taken = rest[: self._part_bytes - len(self._pending)]
            self._pending += taken
            rest = rest[len(taken) :]
            if len(self._pending) == self._part_bytes:
                self._send()

    def copy(self, source: RemotePath, size: int) -> bool:
        """See `Upload.copy`."""
        if source.address.scheme != "s3" or source.options != self._target.options:
            return False
        found = _Source(self._client, source, size)
        begin = min(size, _LEAST_BYTES - len(self._pending)) if 0 < len(self._pending) < _LEAST_BYTES else 0
        if size - begin < _LEAST_BYTES:
            begin = size
        if begin:
            with self._errors(source):
                head = found.read(begin)
            self.write(head)
        if begin < size:
            if self._pending:
                self._send()
            self._copy_parts(found, begin)
            self._size += size - begin
        return True

    def finish(self) -> None:
        """See `Upload.finish`."""
        if self._pending or not self._parts:
            self._send()
        parts = [{"PartNumber": number, **part.result()} for number, part in enumerate(self._parts, 1)]
        with self._errors():
            done = {"MultipartUpload": {"Parts": parts}, "UploadId": self._id}
            self._client.complete_multipart_upload(**self._place, **done)
            self._id = None
            size = self._client.head_object(**self._place)["ContentLength"]
        self._close()
        if size != self._size:
            raise OutputError(f"{self._target}: it has {size:,} bytes, and should have {self._size:,}: run it again")

    def abort(self) -> None:
        """See `Upload.abort`."""
        self._close()
        if self._id is not None:
            with suppress(Exception):  # the next run looks for it again, as does a bucket's lifecycle rule
                self._client.abort_multipart_upload(**self._place, UploadId=self._id)
            self._id = None

    def _close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        if self._id is None:
            self._client.close()

    # ---- parts

    def _send(self) -> None:
        """Send what is pending."""
        data, self._pending = bytes(self._pending), bytearray()

        def send(number: int) -> dict[str, Any]:
            with self._errors():
                answer = self._client.upload_part(**self._place, UploadId=self._id, PartNumber=number, Body=data)
            return {"ETag": answer["ETag"]}

        self._begin(send, self._sending, PARTS_AT_ONCE)

    def _copy_parts(self, source: _Source, begin: int) -> None:
        """Copy a source from ``begin`` to its end, in parts of the same size."""
        rest = source.size - begin
        count = -(-rest // self._copy_bytes)
        ends = [begin + rest * number // count for number in range(count + 1)]
        for start, end in pairwise(ends):
            self._begin(self._copy_part(source, start, end), self._copying, _WAITING)

    def _copy_part(self, source: _Source, start: int, end: int) -> Callable[[int], dict[str, Any]]:
        def copy(number: int) -> dict[str, Any]:
            with self._errors(source.path):
                wanted = {"CopySource": source.place, "CopySourceIfMatch": source.etag()}
                answer = self._client.upload_part_copy(
                    **self._place,
                    **wanted,
                    CopySourceRange=f"bytes={start}-{end - 1}",
                    UploadId=self._id,
                    PartNumber=number,
                )
            return {"ETag": answer["CopyPartResult"]["ETag"]}

        return copy

    def _begin(self, ask: Callable[[int], dict[str, Any]], among: deque[Future[dict[str, Any]]], most: int) -> None:
        while len(among) >= most:
            among.popleft().result()
        if len(self._parts) == MAX_PARTS:
            raise OutputError(f"{self._target}: S3 joins at most {MAX_PARTS:,} parts: pack fewer, larger shards")
        part = self._pool.submit(ask, len(self._parts) + 1)
        self._parts.append(part)
        among.append(part)

    # ---- errors

    def _errors(self, source: RemotePath | None = None) -> Any:
        return translated_errors(str(self._target), lambda response: self._refusal(response, source))

    def _refusal(self, response: Mapping[str, Any], source: RemotePath | None) -> str:
        error = response.get("Error", {})
        code, message = str(error.get("Code", "")), str(error.get("Message", ""))
        if source is not None and code in ("PreconditionFailed", "412", "NoSuchKey", "404"):
            return f"{source}: it changed while it was copied: run the same command again"
        if code in ("AccessDenied", "403"):
            return f"{self._target}: S3 denies access: the credentials need s3:PutObject there" + (
                f", and s3:GetObject for {source}" if source is not None else ""
            )
        return f"{self._target}: S3 answers {code}{': ' if message else ''}{message}"


class _Source:
    """An object that is copied; it must stay the same until all of its parts are."""

    def __init__(self, client: Any, path: RemotePath, size: int) -> None:
        self._client, self.path, self.size = client, path, size
        self.place = {"Bucket": path.address.bucket, "Key": path.address.key}
        self._lock, self._etag = threading.Lock(), ""

    def etag(self) -> str:
        """The one that it had first.

        Raises:
            OutputError: it has another size.
        """
        with self._lock:
            if not self._etag:
                found = self._client.head_object(**self.place)
                if found["ContentLength"] != self.size:
                    raise OutputError(
                        f"{self.path}: it has {found['ContentLength']:,} bytes, and its manifest says {self.size:,}"
                    )
                self._etag = str(found["ETag"])
            return self._etag

    def read(self, count: int) -> bytes:
        """The first bytes."""
        wanted = {"Range": f"bytes=0-{count - 1}", "IfMatch": self.etag()}
        data: bytes = self._client.get_object(**self.place, **wanted)["Body"].read()
        return data
