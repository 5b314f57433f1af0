"""A folder whose files are read slowly, and that tells who reads: so that it can be killed in mid-shard."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gpu_pack.stores.local import LocalStore
from gpu_pack.types import Entry, Image, Rejected

FAST = "fast"


@dataclass(frozen=True)
class SlowStore(LocalStore):
    """A folder.

    Attributes:
        notes: a folder that receives a file for each image that was read, named by its key, the process and the node.
        seconds: that each image takes, until there is a file `FAST` among the notes.
    """

    notes: str = ""
    seconds: float = 0.05

    def read_many(self, entries: Iterable[Entry]) -> Iterator[Image | Rejected]:
        import ray

        node = ray.get_runtime_context().get_node_id()
        for entry in entries:
            if not (Path(self.notes) / FAST).exists():
                time.sleep(self.seconds)
            (Path(self.notes) / f"{entry.key}-{os.getpid()}-{node}").touch()
            yield from super().read_many([entry])


def readers(notes: Path) -> set[int]:
    """The processes that have read so far."""
    return {int(path.name.split("-")[1]) for path in notes.glob("*-*-*")}


def nodes(notes: Path) -> set[str]:
    """The nodes that have read so far."""
    return {path.name.split("-")[2] for path in notes.glob("*-*-*")}
