"""A folder whose files are read slowly, and that tells which process reads: so that it can be killed in mid-shard."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gpu_pack.stores.local import LocalStore
from gpu_pack.types import Entry, Image, Rejected


@dataclass(frozen=True)
class SlowStore(LocalStore):
    """A folder.

    Attributes:
        notes: a folder that receives a file for each image that was read, named by its key and the process.
        seconds: that each image takes.
    """

    notes: str = ""
    seconds: float = 0.05

    def read_many(self, entries: Iterable[Entry]) -> Iterator[Image | Rejected]:
        for entry in entries:
            time.sleep(self.seconds)
            (Path(self.notes) / f"{entry.key}-{os.getpid()}").touch()
            yield from super().read_many([entry])


def readers(notes: Path) -> set[int]:
    """The processes that have read so far."""
    return {int(path.name.split("-")[1]) for path in notes.iterdir()}
