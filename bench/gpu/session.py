"""What a part is given: its record and its time, and the photographs."""

from __future__ import annotations

import faulthandler
import itertools
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.gpu.record import Figures, Record
from bench.gpu.verdict import best_trial
from gpu_pack.gpu.settings import GpuSettings
from gpu_pack.types import Entry, Image

#: More do not make the figures more precise, and they must fit into memory.
MAX_PHOTOS = 2048
#: An item that takes more than three times what was expected, and this many seconds, ends its process.
_PATIENCE_SECONDS = 60


class OutOfTimeError(Exception):
    """The next item does not fit into what is left of the part's time."""


class ItemFailedError(Exception):
    """An item failed. The process may be unusable for the device, so another goes on."""


class Session:
    """One part's run, in its own process.

    Args:
        record: where items are kept; those that are there already are not measured again.
        seconds: the part's time.
        images: how many the part ``memory`` packs.

    Attributes:
        rehearsal: the CPU mode, with little of everything.
        best: the settings that the sweep found best so far, as keyword arguments of GpuSettings.
    """

    def __init__(
        self,
        record: Record,
        part: str,
        photos: Path,
        seconds: float,
        images: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.record, self.part, self.folder, self.images_wanted = record, part, photos, images
        self.rehearsal: bool = record.data["rehearsal"]
        self._clock, self._deadline = clock, clock() + seconds
        best = best_trial(record.items("sweep"))
        self.best: dict[str, Any] = best["settings"] if best else {}

    def item(self, key: str, expected: float, work: Callable[[], Figures]) -> Figures:
        """The figures of an item: those known, or what ``work`` gives, which is then saved.

        Args:
            expected: how many seconds it may take.

        Raises:
            OutOfTimeError: it would take longer than is left.
            ItemFailedError: it failed, which is saved.
        """
        known = self.record.items(self.part).get(key)
        if known is not None:
            return known
        if expected > self.left():
            raise OutOfTimeError(f"no time for {key}: it takes about {expected:.0f} s, {self.left():.0f} s were left")
        self.record.begin_item(self.part, key)
        print(f"    {key}", flush=True)
        begin = self._clock()
        faulthandler.dump_traceback_later(3 * expected + _PATIENCE_SECONDS, exit=True, file=sys.__stderr__)
        try:
            figures = work()
        except (Exception, SystemExit) as error:
            if not isinstance(error, SystemExit):  # has a message for people
                traceback.print_exc()
            figures = {"error": (str(error).strip() or type(error).__name__)[:1000]}
        finally:
            faulthandler.cancel_dump_traceback_later()
        self.record.put(self.part, key, {"seconds": round(self._clock() - begin, 1), **figures})
        print(f"        {figures}"[:2000], flush=True)
        if "error" in figures:
            raise ItemFailedError(key)
        return self.record.items(self.part)[key]

    def left(self) -> float:
        """Seconds until the part's time is over; may be negative."""
        return self._deadline - self._clock()

    def expected(self, otherwise: float, prefix: str = "") -> float:
        """What an item takes, in seconds, as those took whose keys begin alike; ``otherwise`` if there are none."""
        items = self.record.items(self.part).items()
        known = [item["seconds"] for key, item in items if key.startswith(prefix) and "seconds" in item]
        return 1.2 * max(known) if known else otherwise

    def files(self) -> list[Path]:
        """The photographs, in order of name."""
        found = (path for path in sorted(self.folder.rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg"))
        if not (files := list(itertools.islice(found, MAX_PHOTOS))):
            raise SystemExit(f"{self.folder}: no .jpg or .jpeg file in it")
        return files

    def images(self, most: int = MAX_PHOTOS) -> list[Image]:
        """The photographs with their bytes."""
        files = self.files()[:most]
        return [Image(Entry(key, (0.0,), path.as_posix()), path.read_bytes()) for key, path in enumerate(files)]

    def entries(self) -> list[Entry]:
        """The photographs without their bytes, for workers that read them."""
        return [Entry(key, (0.0,), path.as_posix(), path.stat().st_size) for key, path in enumerate(self.files())]

    def settings(self, **changes: Any) -> GpuSettings:
        """The sweep's best, or the defaults, with changes."""
        return GpuSettings(**self.keywords(**changes))

    def keywords(self, **changes: Any) -> dict[str, Any]:
        """`settings` as keyword arguments. Smaller in a rehearsal."""
        small = {"batch_size": 16, "processes": 1, "workers": 1, "threads": 2} if self.rehearsal else {}
        return {**small, **self.best, "device": "cpu" if self.rehearsal else "gpu", **changes}
