"""One object that is written piece by piece, in bounded memory, and appears when it is complete."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from gpu_pack.errors import OutputError
from gpu_pack.stores.object_client import import_obstore, open_client
from gpu_pack.stores.object_faults import judge
from gpu_pack.stores.remote_path import RemotePath

PART_BYTES = 16 << 20
#: S3 takes 10,000 parts, and GCS too.
MAX_PARTS = 10_000
#: Parts that are on their way at once.
PARTS_AT_ONCE = 8
_log = logging.getLogger("gpu_pack")


class Upload(Protocol):
    """An object that is being written.

    Raises:
        OutputError: every method, where the store refuses or does not answer.
    """

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        ...

    def copy(self, source: RemotePath, size: int) -> bool:
        """Append a whole object, copied by the store; False where it cannot, and nothing is appended.

        Raises:
            OutputError: ``source`` has another size, or changes meanwhile; also from a later call.
        """
        ...

    def finish(self) -> None:
        """Complete the object."""
        ...

    def abort(self) -> None:
        """Give it up, and leave nothing; ignored after `finish`."""
        ...


def open_upload(target: RemotePath, expected: int = 0) -> Upload:
    """Begin to write an object.

    Args:
        expected: its size in bytes, about: parts are so large that there are not too many.

    Raises:
        OutputError: there are no credentials, or the store refuses.
    """
    if target.address.scheme == "s3":
        from gpu_pack.stores.s3_upload import S3Upload

        try:
            return S3Upload(target, expected)
        except ImportError:
            _log.warning("%s: without boto3, all bytes pass through this machine: pip install boto3", target)
    return StreamedUpload(target, expected)


def part_size(expected: int, usual: int) -> int:
    """Bytes of a part, so that a tenth of the possible parts is left over."""
    return max(usual, -(-expected // (MAX_PARTS * 9 // 10)))


class StreamedUpload:
    """An `Upload` through obstore, for stores that do not copy parts."""

    def __init__(self, target: RemotePath, expected: int = 0) -> None:
        self._target = target
        with self._translated_errors():
            client = open_client(target.address, target.options, target.options.retry.tries - 1)
            size = part_size(expected, PART_BYTES)
            self._writer: Any = import_obstore().open_writer(
                client, target.address.key, buffer_size=size, max_concurrency=PARTS_AT_ONCE
            )

    def write(self, data: bytes | memoryview) -> None:
        """See `Upload.write`."""
        with self._translated_errors():
            self._writer.write(bytes(data))

    def copy(self, source: RemotePath, size: int) -> bool:
        """See `Upload.copy`."""
        return False

    def finish(self) -> None:
        """See `Upload.finish`."""
        with self._translated_errors():
            self._writer.close()
        self._writer = None

    def abort(self) -> None:
        """See `Upload.abort`; parts that are up are unseen, and expire."""
        self._writer = None

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # obstore's own tree
            if isinstance(error, OutputError):
                raise
            fault = judge(error, self._target.address)
            told = fault.reason if fault.kind == "fatal" else f"{self._target}: cannot be written: {fault.reason}"
            raise OutputError(told) from error
