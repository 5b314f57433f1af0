"""Whole objects directly in one folder of a bucket: written, listed, removed; also under a condition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, TypeVar

from gpu_pack.errors import GpuPackError, OutputError, SourceError
from gpu_pack.stores.address import Address, StoreOptions
from gpu_pack.stores.atomic_file import write_atomically
from gpu_pack.stores.object_faults import ObjectError, judge
from gpu_pack.stores.object_requests import requests_to
from gpu_pack.stores.object_stat import look_up, stat_of
from gpu_pack.stores.store import Stat

#: A version of an object, as conditions name it: etag, or generation.
Version = dict[str, str]
#: A condition that did not hold; a store that knows no conditions.
Refusal = Literal["conflict", "unsupported"]

#: Of a multipart upload. Files that fit into one part go up by a single request, which leaves nothing behind.
_PART_BYTES = 8 << 20
#: S3 takes 10,000.
_MAX_PARTS = 9000
_PARTS_AT_ONCE = 8
#: Of a large object that is copied into a file.
_PIECE_BYTES = 32 << 20
#: Small objects that are asked for, or removed, at the same time.
_AT_ONCE = 64
_Result = TypeVar("_Result")


class Found(NamedTuple):
    """A small object.

    Attributes:
        modified: by the store's clock.
    """

    data: bytes
    version: Version
    modified: datetime


class ObjectFolder:
    """The objects of a folder, by their names in it.

    Raises:
        OutputError: every method, where the store refuses or does not answer.
    """

    def __init__(self, folder: Address, options: StoreOptions) -> None:
        self.folder, self.options = folder, options
        self._uploader: Any = None
        try:
            self._requests = requests_to(folder, options)
        except SourceError as error:
            raise OutputError(str(error)) from error

    # ---- one small object

    def look(self, name: str) -> Found | None:
        """An object with its version; None where there is none."""
        obstore, client, key = self._requests.obstore, self._requests.client, self._key(name)

        def get() -> Found | None:
            try:
                found = obstore.get(client, key)
            except Exception as error:
                if self._is_missing(key, error):
                    return None
                raise
            return Found(bytes(found.bytes()), _version(found.meta), found.meta["last_modified"])

        return self._call(name, "read", get)

    def get(self, name: str) -> bytes | None:
        """An object's bytes; None where there is none."""
        found = self.look(name)
        return None if found is None else found.data

    def put(self, name: str, data: bytes) -> None:
        """Create or replace an object in one step."""
        obstore, client, key = self._requests.obstore, self._requests.client, self._key(name)
        self._call(name, "written", lambda: obstore.put(client, key, data, use_multipart=False))

    def put_if(self, name: str, data: bytes, version: Version | None) -> Version | Refusal:
        """Replace an object if it still is of this version; None: create it if there is none.

        An answer that was lost on its way makes a ``conflict`` of a success: look who wrote it.
        """
        obstore, client, key = self._requests.obstore, self._requests.client, self._key(name)
        if version is not None and self.folder.scheme == "gs" and "version" not in version:
            return "unsupported"  # GCS has conditions on generations, which the server told none of

        def put() -> Version | Refusal:
            try:
                return _version(obstore.put(client, key, data, mode=version or "create"))
            except Exception as error:
                refusal = _refusal(error)
                if refusal is None:
                    raise
                return refusal

        return self._call(name, "written", put)

    # ---- files

    def put_file(self, name: str, path: Path, on_read: Callable[[], None] = lambda: None) -> Stat:
        """Upload a file, a large one in parts; the object appears when it is complete.

        Args:
            on_read: called before each read of the file; what it raises ends the upload, and nothing of it stays.
        """
        obstore, client, key = self._requests.obstore, self._upload_client(), self._key(name)
        part = max(_PART_BYTES, -(-path.stat().st_size // _MAX_PARTS))

        def put() -> GpuPackError | None:
            with path.open("rb", buffering=0) as file:
                watched = _WatchedFile(file, path, on_read)
                try:
                    obstore.put(client, key, watched, chunk_size=part, max_concurrency=_PARTS_AT_ONCE)
                except Exception:
                    if watched.error is None:
                        raise
            return watched.error

        if (error := self._call(name, "written", put)) is not None:
            raise error
        return stat_of(self._call(name, "read", lambda: look_up(self._requests, key)))

    def get_file(self, name: str, path: Path) -> None:
        """Copy an object into a file, in pieces; without one, no file is made."""
        obstore, client, key = self._requests.obstore, self._requests.client, self._key(name)

        def size() -> int | None:
            try:
                return int(look_up(self._requests, key)["size"])
            except ObjectError as error:
                if error.fault.kind == "missing":
                    return None
                raise

        def pieces(size: int) -> Iterator[bytes]:
            for start in range(0, size, _PIECE_BYTES):
                length = min(_PIECE_BYTES, size - start)
                yield self._call(
                    name,
                    "read",
                    lambda: bytes(obstore.get_range(client, key, start=start, length=length)),  # noqa: B023
                )

        if (found := self._told(name, "read", size)) is not None:
            write_atomically(path, pieces(found))

    def _upload_client(self) -> Any:
        """One that repeats requests by itself: for a part that fails, not all of the file goes up again."""
        if self._uploader is None:
            try:
                from gpu_pack.stores.object_client import open_client

                self._uploader = open_client(self.folder, self.options, self.options.retry.tries - 1)
            except SourceError as error:
                raise OutputError(str(error)) from error
        return self._uploader

    # ---- many

    def get_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """The bytes of objects; those that are not there are left out."""
        obstore, client = self._requests.obstore, self._requests.client

        async def get(key: str) -> bytes:
            return bytes(await (await obstore.get_async(client, key)).bytes_async())

        return {name: data for name, data in self._many(names, "read", get).items() if data is not None}

    def delete(self, names: Iterable[str]) -> None:
        """Remove objects; those that are not there are none the worse."""
        obstore, client = self._requests.obstore, self._requests.client
        self._many(names, "removed", lambda key: obstore.delete_async(client, key))

    def list(self) -> dict[str, Stat]:
        """The objects directly in the folder."""
        obstore, client, prefix = self._requests.obstore, self._requests.client, self.folder.key or None
        found = self._call("", "listed", lambda: obstore.list_with_delimiter(client, prefix))
        own = self.folder.key  # the empty object by which consoles show a folder
        return {meta["path"].rpartition("/")[2]: stat_of(meta) for meta in found["objects"] if meta["path"] != own}

    # ---- requests

    def _key(self, name: str) -> str:
        return self.folder.below(name).key

    def _call(self, name: str, what: str, ask: Callable[[], _Result]) -> _Result:
        return self._told(name, what, lambda: self._requests.call(self._key(name), ask))

    def _many(self, names: Iterable[str], what: str, ask: Callable[[str], Any]) -> dict[str, Any]:
        """The results of requests for objects; None for those that are not there."""

        async def ask_for(key: str) -> Any:
            try:
                return await ask(key)
            except Exception as error:
                if self._is_missing(key, error):
                    return None
                raise

        results, remaining = {}, iter(names)
        while some := list(islice(remaining, _AT_ONCE)):
            started = [self._requests.start(key := self._key(name), partial(ask_for, key)) for name in some]
            for name, request in zip(some, started, strict=True):
                results[name] = self._told(name, what, request.result)
        return results

    def _is_missing(self, key: str, error: Exception) -> bool:
        return judge(error, Address(self.folder.scheme, self.folder.bucket, key)).kind == "missing"

    def _told(self, name: str, what: str, ask: Callable[[], _Result]) -> _Result:
        """The result, or the error that people are told."""
        try:
            return ask()
        except ObjectError as error:
            address = self.folder.below(name)
            raise OutputError(f"{address}: cannot be {what}: {error}; the same command resumes the run") from error
        except SourceError as error:
            raise OutputError(str(error)) from error


class _WatchedFile:
    """A file that obstore reads, and that may end the upload.

    Attributes:
        error: why it did.
    """

    def __init__(self, file: Any, path: Path, on_read: Callable[[], None]) -> None:
        self._file: BinaryIO = file
        self._path, self._on_read = path, on_read
        self.error: GpuPackError | None = None

    def read(self, count: int = -1) -> bytes:
        try:
            self._on_read()
            return self._file.read(count)
        except GpuPackError as error:
            self.error = error
            raise
        except OSError as error:
            self.error = OutputError(f"{self._path}: cannot be read: {error.strerror or error}")
            raise

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def _version(meta: Any) -> Version:
    return {name: meta[name] for name in ("e_tag", "version") if meta.get(name)}


def _refusal(error: Exception) -> Refusal | None:
    """What a conditional request was refused for; None for any other reason."""
    kind, text = type(error).__name__, str(error)
    if kind in ("AlreadyExistsError", "PreconditionError") or "status code: 409" in text:
        return "conflict"
    if kind in ("NotSupportedError", "NotImplementedError") or "status code: 501" in text:
        return "unsupported"
    return None
