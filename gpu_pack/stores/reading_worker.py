"""The only way in which a run reads what it transforms: a worker that reads its images through a store."""

from __future__ import annotations

from collections.abc import Sequence

from gpu_pack.errors import BackendError
from gpu_pack.stores.store import Store
from gpu_pack.types import Entry, Image, Outcome, Rejected, Worker

#: Entries that a thread takes at once. With 8 instead, photos from a cold disk took 3 % more CPU time, and threads
#: waited twice as long for the disk.
READ_BATCH = 32
DEFAULT_PART_BYTES = 64 << 20


class ReadingWorker:
    """A `gpu_pack.types.EntryWorker`: reads the entries' files and has a worker transform them.

    Args:
        worker: transforms the images, at most its ``batch_size`` at once; closed by `close`.
        store: where the files lie.
        part_bytes: what is read and not yet transformed; the file that crosses the bound may exceed it.

    Attributes:
        name: the worker's.
        batch_size: the worker's, or `READ_BATCH` if that is more: the store reads ahead within a batch.
    """

    def __init__(self, worker: Worker, store: Store, part_bytes: int = DEFAULT_PART_BYTES) -> None:
        self.name, self.batch_size = worker.name, max(worker.batch_size, READ_BATCH)
        self._worker, self._store, self._part_bytes = worker, store, part_bytes

    def transform(self, entries: Sequence[Entry]) -> list[Outcome]:
        """The outcomes of the entries' files, in order; one that cannot be read is a `Rejected`.

        Raises:
            BackendError: the worker's device is broken, or the worker returned a wrong number of outcomes.
            SourceError: no file can be read at the moment.
        """
        outcomes: list[Outcome] = []
        part: list[Image | Rejected] = []
        size = 0
        for file in self._store.read_many(entries):
            part.append(file)
            size += len(file.data) if isinstance(file, Image) else 0
            if size >= self._part_bytes or len(part) == self._worker.batch_size:
                outcomes += self._transform(part)
                part, size = [], 0
        return outcomes + self._transform(part)

    def close(self) -> None:
        """Close the worker."""
        self._worker.close()

    def _transform(self, part: list[Image | Rejected]) -> list[Outcome]:
        images = [file for file in part if isinstance(file, Image)]
        answers = self._worker.transform(images) if images else []
        if len(answers) != len(images):
            raise BackendError(f"worker {self.name} answered {len(images)} images with {len(answers)} outcomes")
        remaining = iter(answers)
        return [file if isinstance(file, Rejected) else next(remaining) for file in part]
