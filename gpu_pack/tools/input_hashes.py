"""The sha256 of files, computed on a thread while their records are copied: it also reads ahead of the copy."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from gpu_pack.errors import SourceError
from gpu_pack.formats.published_file import FileHash, PublishedFile
from gpu_pack.tools.faults import unreadable
from gpu_pack.tools.input_records import Input

_READ_BYTES = 4 << 20


class InputHashes:
    """Size and sha256 of the inputs; a context manager, which ends the thread."""

    def __init__(self, inputs: Sequence[Input]) -> None:
        self._inputs = inputs
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="hash-inputs")
        self._found: list[Future[PublishedFile]] = []

    def __enter__(self) -> InputHashes:
        self._found = [self._pool.submit(self._hash, each) for each in self._inputs]
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)

    def results(self) -> list[PublishedFile]:
        """One for each input, once all are read.

        Raises:
            SourceError: a file cannot be read, or is not what its manifest says.
        """
        found = [future.result() for future in self._found]
        return [checked(each, file) for each, file in zip(self._inputs, found, strict=True)]

    def _hash(self, each: Input) -> PublishedFile:
        known = published_of(each)
        found = FileHash(known.lengths if known is not None else ())
        try:
            with each.rec.open("rb") as file:
                while (block := file.read(_READ_BYTES)) and not self._stop.is_set():
                    found.update(block)
        except OSError as error:
            raise unreadable(each.rec, error) from error
        return found.published()


def published_of(each: Input) -> PublishedFile | None:
    """What an input is by its manifest; None without one."""
    manifest = each.target.manifest
    return manifest.files.get(each.rec.name) if manifest is not None else None


def checked(each: Input, found: PublishedFile) -> PublishedFile:
    """The size and hashes of an input that was read.

    Raises:
        SourceError: they are not what its manifest says.
    """
    if published_of(each) not in (None, found):
        raise SourceError(
            f"{each.rec}: its bytes are not those that its manifest tells of, so nothing was written: `gpu-pack "
            "verify` names the damaged records"
        )
    return found
