"""A path in an object store."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal, final

from gpu_pack.errors import SourceError
from gpu_pack.stores.address import Address, StoreOptions
from gpu_pack.stores.file_reader import FileReader
from gpu_pack.stores.object_faults import ObjectError
from gpu_pack.stores.object_file import ObjectFile
from gpu_pack.stores.object_requests import Requests, requests_to
from gpu_pack.stores.object_spans import ObjectSpans
from gpu_pack.stores.object_stat import look_up
from gpu_pack.stores.object_store import ObjectStore

_STREAM_BYTES = 1 << 20


@final
@dataclass(frozen=True)
class RemotePath:
    """A file or folder of an object store, with names, methods and errors of `pathlib.Path`.

    Every method that asks the store may raise a SourceError about all of it, such as missing credentials. Reading from
    what `open` gives raises SourceErrors too.

    Attributes:
        address: of the file or folder.
        options: how the store is reached.
    """

    address: Address
    options: StoreOptions = field(default_factory=StoreOptions)

    def __str__(self) -> str:
        return str(self.address)

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(self.address.below(name), self.options)

    @property
    def name(self) -> str:
        return self.address.name

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> RemotePath:
        return RemotePath(self.address.parent, self.options)

    def with_name(self, name: str) -> RemotePath:
        return self.parent / name

    def with_suffix(self, suffix: str) -> RemotePath:
        return self.with_name(self.stem + suffix)

    @property
    def is_web(self) -> bool:
        """Whether it is on a web server, which lists no files."""
        return self.address.is_web

    def stat(self) -> os.stat_result:
        """Mode and size.

        Raises:
            OSError: FileNotFoundError, PermissionError or another one.
        """
        size = self._look_up()["size"]
        return os.stat_result((stat.S_IFREG | 0o444, 0, 0, 1, 0, 0, size, 0, 0, 0))

    def etag(self) -> str | None:
        """Another one once the object has changed; None where the store has none. Errors as of `stat`."""
        found: str | None = self._look_up()["e_tag"]
        return found

    def _look_up(self) -> dict[str, Any]:
        try:
            return look_up(self._requests, self.address.key)
        except ObjectError as error:
            kind = error.fault.kind
            code = {"missing": errno.ENOENT, "name": errno.ENOENT, "denied": errno.EACCES}.get(kind, errno.EIO)
            what = os.strerror(code) if kind == "missing" else error.fault.reason
            raise OSError(code, what, str(self)) from error

    def exists(self) -> bool:
        """Whether there is such an object. Stores that may not list answer "denied" for one that is not there."""
        try:
            self.stat()
        except (FileNotFoundError, PermissionError):
            return False
        return True

    def is_file(self) -> bool:
        """As `exists`: folders are no objects."""
        return self.exists()

    def is_dir(self) -> bool:
        """Whether objects lie below it; False where that cannot be told."""
        try:
            return any(True for _ in self.iterdir())
        except SourceError:
            return False

    def iterdir(self) -> Iterator[RemotePath]:
        """What lies directly in this folder, by name.

        Raises:
            SourceError: there is nothing, or it cannot be listed.
        """
        items = self._store.list(self.address.key)
        return (self / item.name for item in items)

    def open(self, mode: Literal["rb"] = "rb", buffering: int = _STREAM_BYTES) -> io.BufferedReader:
        """The object as a seekable file.

        Raises:
            SourceError: there is none, or it cannot be read.
        """
        return io.BufferedReader(FileReader(self.open_blocks()), buffering)

    def open_blocks(self) -> ObjectFile:
        """To be read in sequence for the most part; errors as of `open`."""
        return ObjectFile(self._requests, self.address)

    def open_spans(self) -> ObjectSpans:
        """To be read at places that are known before; errors as of `open`."""
        return ObjectSpans(self._requests, self.address)

    def write_bytes(self, data: bytes) -> None:
        """Create or replace it.

        Raises:
            OutputError: it cannot be written.
        """
        self._store.write(self.address.key, data)

    @property
    def _requests(self) -> Requests:
        return requests_to(self.address, self.options)

    @property
    def _store(self) -> ObjectStore:
        return ObjectStore(Address(self.address.scheme, self.address.bucket), self.options)
