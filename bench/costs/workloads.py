"""What runs under callgrind: each hot part of a run, some hundred images at a time, between two calls of getppid.

    python -m bench.costs.workloads FOLDER

Callgrind writes what it has counted at each of these calls. FOLDER is an empty one, for files that are read and
written. The parts are our own Python: not libjpeg and OpenCV, and not SHA-256, for which valgrind lacks
the processor's instructions.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np  # noqa: F401  # as in every run: framing looks for magic numbers with it

import gpu_pack
from gpu_pack.formats.image_headers import examine
from gpu_pack.geometry import crop_resize
from gpu_pack.output.checkpoint import RecordFileState
from gpu_pack.output.shard_writer import RecordWriter, write_index
from gpu_pack.pipeline.engine import Engine
from gpu_pack.pipeline.pass_through import PassThroughWorker
from gpu_pack.recordio import framing
from gpu_pack.stores.local import LocalStore
from gpu_pack.types import Encoded, Entry, Image, Outcome, TransformSpec

PHOTO = Path(__file__).parents[2] / "tests" / "photos" / "living" / "astronaut.jpg"
#: Images of a part.
COUNT = 512
_RECORD = bytes(range(256)) * 100  # 25 KB, as a 224 x 224 JPEG has, without a magic number
_SPEC = TransformSpec()

#: Makes what a part needs, and gives what to count: a call for `COUNT` images.
Setup = Callable[[Path], Callable[[], object]]


class IdleWorker:
    """A worker that has every image's outcome at hand."""

    name, batch_size = "idle", 32

    def __init__(self) -> None:
        self._outcome = Encoded(Entry(0, (0.0,), ""), b"", 224, 224, "cpu")

    def transform(self, images: list[Image]) -> list[Outcome]:
        return [self._outcome] * len(images)

    def close(self) -> None:
        """Nothing is held."""


def geometry(_: Path) -> Callable[[], object]:
    """The crop box and the size of the result."""
    sizes = [(500 + number % 7, 375 - number % 5) for number in range(COUNT)]
    return lambda: [crop_resize(width, height, _SPEC) for width, height in sizes]


def header(_: Path) -> Callable[[], object]:
    """The header of a JPEG with nine segments, and whether its end is there."""
    data = PHOTO.read_bytes()
    return lambda: [examine(data, 1 << 30) for _ in range(COUNT)]


def pass_through(_: Path) -> Callable[[], object]:
    """What a worker of ``--pass-through`` does with a file."""
    images = [Image(Entry(key, (1.0,), "a.jpg"), PHOTO.read_bytes()) for key in range(COUNT)]
    worker = PassThroughWorker(_SPEC)
    return lambda: worker.transform(images)


def frame(_: Path) -> Callable[[], object]:
    """A record of 25 KB, looked through for magic numbers."""
    return lambda: [framing.frame_pieces(key, (1.0,), _RECORD) for key in range(COUNT)]


def engine(_: Path) -> Callable[[], object]:
    """An image's way to a worker's thread and back, in batches of 32."""
    images = [Image(Entry(key, (1.0,), "a.jpg"), b"") for key in range(COUNT)]
    return lambda: sum(1 for _ in Engine([IdleWorker()]).run(images))


def read(folder: Path) -> Callable[[], object]:
    """A file of 1 KB, opened, announced and read."""
    entries = _files(folder / "read")
    store = LocalStore(str(folder / "read"))
    return lambda: sum(1 for _ in store.read_many(entries))


def write(folder: Path) -> Callable[[], object]:
    """A record of 1 KB, with its line of the index; its bytes are hashed by XXH3."""
    images = [Encoded(Entry(key, (1.0,), "a.jpg"), _RECORD[:1024], 224, 224, "cpu") for key in range(COUNT)]
    numbers = iter(range(100))

    def run() -> None:
        path = folder / f"{next(numbers)}.rec"
        state = RecordFileState("xxh3_128")
        writer = RecordWriter(path, state, lambda _: None)
        for image in images:
            writer.append(image)
        writer.finish()
        write_index(path.with_suffix(".idx"), state)

    return run


def list_files(folder: Path) -> Callable[[], object]:
    """A file found, labelled by its folder, shuffled and divided: what ``--dry-run`` does."""
    _files(folder / "list" / "a")
    return lambda: gpu_pack.create(folder / "list", folder / "out", dry_run=True, device="cpu")


#: By name, in the order in which they run.
PARTS: dict[str, Setup] = {
    "list and divide": list_files,
    "read": read,
    "header": header,
    "geometry": geometry,
    "engine hand-over": engine,
    "pass-through": pass_through,
    "frame": frame,
    "write and index": write,
}


def _files(folder: Path) -> list[Entry]:
    folder.mkdir(parents=True)
    for key in range(COUNT):
        (folder / f"{key:04d}.jpg").write_bytes(_RECORD[:1024])
    return [Entry(key, (1.0,), f"{key:04d}.jpg", 1024) for key in range(COUNT)]


def main() -> None:
    sys.setswitchinterval(60)  # threads take turns where they wait, not when a clock says so
    gc.disable()
    for setup in PARTS.values():
        run = setup(Path(sys.argv[1]))
        run()  # what is imported or kept by the first call does not count
        gc.collect()
        os.getppid()
        run()
        os.getppid()


if __name__ == "__main__":
    main()
