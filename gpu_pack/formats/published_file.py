"""Size and checksum of a published file, as the manifest tells them.

SHA-256 cannot be combined: a file that an object store joined of others, without its bytes passing through this
machine, has no sha256 that anybody knows. The manifest then tells its ``parts`` in place of ``sha256``: consecutive
ranges that together are the whole file, each with the sha256 that was computed of these bytes when they were written.
Whoever reads the file can check each range, so that a flipped bit shows as it does in any other file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gpu_pack.stores.data_path import DataPath

_READ_BYTES = 8 << 20


@dataclass(frozen=True)
class PublishedFile:
    """Size in bytes and sha256 of a published file.

    Attributes:
        bytes: of the whole file.
        sha256: in hexadecimal; None for a file of ``parts``.
        parts: consecutive ranges, which have no parts themselves; empty where ``sha256`` is known.
    """

    bytes: int
    sha256: str | None = None
    parts: tuple[PublishedFile, ...] = ()

    @property
    def lengths(self) -> tuple[int, ...]:
        """The sizes of the ranges whose sha256 is known."""
        return tuple(part.bytes for part in self.parts) or (self.bytes,)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        if not self.parts:
            return {"bytes": self.bytes, "sha256": self.sha256}
        return {"bytes": self.bytes, "parts": [part.to_json() for part in self.parts]}


def joined(files: Iterable[PublishedFile]) -> PublishedFile:
    """Files that follow one another as one, with their own hashes for parts."""
    parts = tuple(part for file in files if file.bytes for part in file.parts or (file,))
    if len(parts) == 1:
        return parts[0]
    whole = PublishedFile(sum(part.bytes for part in parts), None, parts)
    return whole if parts else PublishedFile(0, hashlib.sha256().hexdigest())


class FileHash:
    """Hashes a file's bytes as they come.

    Args:
        lengths: of the ranges that are hashed one by one; whatever follows belongs to the last one. Empty: the whole.
    """

    def __init__(self, lengths: Sequence[int] = ()) -> None:
        self._lengths = lengths
        self._done: list[PublishedFile] = []
        self._sha256, self._size = hashlib.sha256(), 0

    def update(self, data: bytes | memoryview) -> None:
        """The next bytes."""
        rest = memoryview(data)
        while rest:
            open_end = len(self._done) >= len(self._lengths) - 1
            count = len(rest) if open_end else self._lengths[len(self._done)] - self._size
            self._sha256.update(rest[:count])
            self._size += len(rest[:count])
            rest = rest[count:]
            if not open_end and self._size == self._lengths[len(self._done)]:
                self._end_part()

    def published(self) -> PublishedFile:
        """What the bytes so far are; once, at their end."""
        if self._size or not self._done:
            self._end_part()
        return joined(self._done) if len(self._done) > 1 else self._done[0]

    def _end_part(self) -> None:
        self._done.append(PublishedFile(self._size, self._sha256.hexdigest()))
        self._sha256, self._size = hashlib.sha256(), 0


def read_published(path: DataPath, lengths: Sequence[int] = ()) -> PublishedFile:
    """Size and hashes of a file; see `FileHash` for ``lengths``.

    Raises:
        OSError, SourceError: it cannot be read.
    """
    found = FileHash(lengths)
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            found.update(block)
    return found.published()
