"""Images as files, for workers that read them themselves."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from gpu_pack.processes.process_group import WorkerGroup
from gpu_pack.stores.local import LocalStore
from gpu_pack.types import Entry, Image, Outcome


class FromFiles:
    """A `gpu_pack.types.Worker` over a group: it writes the images to files first.

    Args:
        make: from the files' store to the group.
    """

    def __init__(self, make: Callable[[LocalStore], WorkerGroup]) -> None:
        self._folder = tempfile.mkdtemp()
        self.group = make(LocalStore(self._folder))
        self.channels = self.group.channels()
        self.name, self.batch_size = self.group.name, self.group.batch_size

    def transform(self, images: Sequence[Image], channel: int = 0) -> list[Outcome]:
        """Through one of the channels."""
        outcomes = self.channels[channel].transform(self.written(images))
        return [outcome._replace(entry=image.entry) for outcome, image in zip(outcomes, images, strict=True)]

    def written(self, images: Sequence[Image]) -> list[Entry]:
        """The entries of the images, whose files exist then."""
        entries = [image.entry._replace(path=f"{n}_{image.entry.path}") for n, image in enumerate(images)]
        for entry, image in zip(entries, images, strict=True):
            Path(self._folder, entry.path).write_bytes(image.data)
        return entries

    def close(self) -> None:
        self.group.close()
        shutil.rmtree(self._folder, ignore_errors=True)
