"""Images as files, for workers that read them themselves."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from gpu_pack.interface import Entry, Image, Outcome
from gpu_pack.remote.worker import Crew


class FromFiles:
    """A `gpu_pack.interface.Worker` over a crew: what it is given, it puts into files first.

    Args:
        make: from the files' folder to the crew.
    """

    def __init__(self, make: Callable[[str], Crew]) -> None:
        self._folder = Path(tempfile.mkdtemp())
        self.crew = make(str(self._folder))
        self._lanes = self.crew.lanes()
        self.name, self.batch_size = self.crew.name, self.crew.batch_size

    def transform(self, images: Sequence[Image], lane: int = 0) -> list[Outcome]:
        """Through one of the lanes."""
        outcomes = self._lanes[lane].transform(self.written(images))
        return [outcome._replace(entry=image.entry) for outcome, image in zip(outcomes, images, strict=True)]

    def written(self, images: Sequence[Image]) -> list[Entry]:
        """The entries of the images, whose files are there now."""
        for number, image in enumerate(images):
            (self._folder / f"{number}_{image.entry.path}").write_bytes(image.data)
        return [image.entry._replace(path=f"{n}_{image.entry.path}") for n, image in enumerate(images)]

    def close(self) -> None:
        self.crew.close()
        shutil.rmtree(self._folder, ignore_errors=True)
