"""Reads every picture of a dataset once, into columns of a few bytes each."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from gpu_pack.formats.salvage_scan import Damage, FoundRecord, salvage_scan
from gpu_pack.tools.bounded_pool import BoundedPool, PoolStoppedError
from gpu_pack.tools.faults import Faults
from gpu_pack.tools.keys_beside import heads, keys_beside
from gpu_pack.tools.locate import Target
from gpu_pack.tools.rec_file import RecFile
from gpu_pack.types import OnProgress, Progress, available_cores

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

_BATCH_BYTES = 1 << 20
#: What a waiting picture costs besides its bytes.
_PICTURE_BYTES = 512


@dataclass
class Pictures:
    """The pictures of some .rec files, a row each; 86 bytes a row.

    Attributes:
        targets: the files.
        starts: the first row of each file, and the number of rows.
        keys: see `gpu_pack.formats.record_keys`; ``positions``: files whose keys are positions.
        offsets: where the records begin, in bytes.
        sizes: of the encoded pictures, in bytes.
        labels: the label; NaN for records with several.
        digests: 128-bit checksums (XXH3) of the encoded pictures, N x 2, uint64.
        hashes, kinds: see `gpu_pack.tools.findings.looks`; empty if nothing was decoded.
    """

    targets: Sequence[Target]
    starts: list[int] = field(default_factory=lambda: [0])
    positions: set[int] = field(default_factory=set)
    keys: array[int] = field(default_factory=lambda: array("Q"))
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    sizes: array[int] = field(default_factory=lambda: array("I"))
    labels: array[float] = field(default_factory=lambda: array("f"))
    digests: Array = None  # type: ignore[assignment]  # arrays after `read_pictures`
    hashes: Array = None  # type: ignore[assignment]
    kinds: Array = None  # type: ignore[assignment]

    def add(self, found: FoundRecord, key: int) -> None:
        """Add a row, still without a look."""
        labels = found.info.labels
        self.keys.append(key)
        self.offsets.append(found.offset)
        self.sizes.append(found.info.data_size)
        self.labels.append(labels[0] if len(labels) == 1 else math.nan)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def splits(self) -> list[str]:
        """The split of each file."""
        return [target.split_name for target in self.targets]


def read_pictures(targets: Sequence[Target], on_progress: OnProgress, workers: int | None = None) -> Pictures:
    """Read and look at every picture; damage is left out, since `verify` tells of it.

    Args:
        on_progress: called a few times a second with the bytes that were read.
        workers: threads; None for one a core.
    """
    from cpu_fallback.opencv import configure_opencv

    configure_opencv()
    pictures = Pictures(targets)
    total = sum(target.rec.stat().st_size for target in targets if target.rec.is_file())
    progress = Progress(0, total, "bytes")
    looks: dict[int, tuple[Array, Array, Array]] = {}
    with BoundedPool(workers or available_cores()) as pool:
        for number in range(len(targets)):
            with suppress(PoolStoppedError):  # `wait` raises what stopped it
                _read_file(pictures, number, looks, pool, progress, on_progress)
            pictures.starts.append(len(pictures))
        pool.wait(lambda: on_progress(progress))
    _set_looks(pictures, looks)
    return pictures


def read_headers(targets: Sequence[Target]) -> Pictures:
    """The pictures without looks, which takes a fraction of the time."""
    pictures = Pictures(targets)
    for number, target in enumerate(targets):
        with Faults().collect(target.rec):
            keys = keys_beside(target)
            if keys.repeated is not None:
                pictures.positions.add(number)
            with RecFile(target.rec, whole=False) as file:
                if spans := heads(target, keys, file.size):
                    file.expect(spans)
                for found in salvage_scan(file, payloads=False):
                    if isinstance(found, FoundRecord) and not found.is_metadata:
                        pictures.add(found, keys.of(found.offset, found.info.key))
        pictures.starts.append(len(pictures))
    return pictures


def _read_file(
    pictures: Pictures,
    number: int,
    looks: dict[int, tuple[Array, Array, Array]],
    pool: BoundedPool,
    progress: Progress,
    on_progress: OnProgress,
) -> None:
    target = pictures.targets[number]
    batch: list[bytes] = []
    cost, before = 0, progress.done

    def submit() -> None:
        pool.submit(partial(_look, len(pictures) - len(batch), batch, looks), cost)

    with Faults().collect(target.rec):
        keys = keys_beside(target)
        if keys.repeated is not None:
            pictures.positions.add(number)
        with RecFile(target.rec, whole=True) as file:
            for found in salvage_scan(file, payloads=True):
                if isinstance(found, Damage) or found.is_metadata:
                    continue
                pictures.add(found, keys.of(found.offset, found.info.key))
                batch.append(found.image)
                cost += found.info.data_size + _PICTURE_BYTES
                if cost >= _BATCH_BYTES:
                    submit()
                    batch, cost = [], 0
                    progress.done, progress.detail = before + found.info.end, f"{len(pictures):,} records"
                    on_progress(progress)
            progress.done = before + file.size
    if batch:  # also of a file that cannot be read to its end: every row has a look
        submit()


def _look(start: int, images: list[bytes], looks: dict[int, tuple[Array, Array, Array]]) -> None:
    """Look at the pictures of the rows from ``start`` on."""
    import numpy as np
    import xxhash

    from gpu_pack.tools.findings.looks import look_at

    digests = b"".join(xxhash.xxh3_128_digest(image) for image in images)
    looks[start] = (np.frombuffer(digests, np.uint64).reshape(-1, 2), *look_at(images))


def _set_looks(pictures: Pictures, looks: dict[int, tuple[Array, Array, Array]]) -> None:
    """Join what the threads found, in the order of the rows."""
    import numpy as np

    empty = np.empty((0, 2), np.uint64), np.empty((0, 4), np.uint64), np.empty(0, np.uint8)
    columns = zip(empty, *(looks[start] for start in sorted(looks)), strict=True)
    pictures.digests, pictures.hashes, pictures.kinds = (np.concatenate(column) for column in columns)
