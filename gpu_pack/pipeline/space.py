"""Whether the disk has room for a run, before it begins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from gpu_pack.console import human_size
from gpu_pack.errors import OutputError
from gpu_pack.output.disk_space import FreeBytes
from gpu_pack.output.staging import Staging
from gpu_pack.pipeline.plan import Plan
from gpu_pack.types import TransformSpec

#: Shards that are on this machine's disk at once where they go to a store: one that grows, one that waits, one that
#: goes up.
_AT_ONCE = 3
#: What images take, as a multiple of the estimate that is never too large.
_TYPICAL = 2
#: What files of PNG take at least, in bytes a pixel: half of what photographs do. Of gray ones a third.
_PNG_BYTES = 0.6


def check_space(plan: Plan, staging: Staging, free: FreeBytes) -> None:
    """Compare what the shards that are not there yet will take with what is free.

    Raises:
        OutputError: it is certainly too little.
    """
    sizes = _missing(plan, staging)
    if plan.store is not None and not plan.strict:  # whose shards go up once all are known to be good
        sizes = sizes[-_AT_ONCE:]
    needed, there = sum(sizes) - held_bytes(staging.folder), free(staging.folder)
    if needed > there:
        other = "another folder with staging=DIR (--staging)" if plan.store is not None else "another output"
        raise OutputError(
            f"{staging.folder}: the run needs about {human_size(needed)} on this disk, and {human_size(there)} are "
            f"free: free some, or choose {other}"
        )


def check_plan_space(plan: Plan, staging: Staging, free: FreeBytes) -> None:
    """Compare what a plan takes that is kept in the output with what is free.

    Raises:
        OutputError: it is too little.
    """
    needed, there = plan.listing.nbytes, free(staging.folder)
    if needed > there:
        raise OutputError(
            f"{staging.folder}: the plan needs about {human_size(needed)} on this disk, and {human_size(there)} are "
            "free: free some, or choose another output"
        )


def space_of_task(plan: Plan, staging: Staging, *, several: bool) -> int:
    """Bytes of a node's disk that a task takes, where shards go to a store, one after the other.

    Args:
        several: it packs more than one shard.
    """
    return sum(_missing(plan, staging)[-_AT_ONCE if several else -1 :])


def held_bytes(folder: Path) -> int:
    """Bytes of the shards that grow in a staging folder."""
    held = 0
    for path in folder.glob("*.rec.partial"):
        with suppress(FileNotFoundError):  # another task's, which has just gone up
            held += path.stat().st_size
    return held


def _missing(plan: Plan, staging: Staging) -> list[int]:
    """What the shards that are not packed will take, in ascending order."""
    return sorted(
        _estimate(plan.spec, len(shard.rows), map(plan.listing.sizes.at, shard.rows))
        for shard in plan.shards
        if staging.result(shard.name) is None
    )


def images_in(spec: TransformSpec, sizes: Sequence[int], wanted: int) -> int:
    """How many images of a source make a shard of some ``wanted`` bytes.

    Args:
        sizes: of all images, in bytes; -1 where unknown.
    """
    if not len(sizes):
        return 1
    return max(1, wanted * len(sizes) // max(1, _TYPICAL * _estimate(spec, len(sizes), sizes)))


def _estimate(spec: TransformSpec, count: int, sizes: Iterable[int]) -> int:
    """Bytes that ``count`` images of these sizes will take; so few that no run is refused that would fit.

    Half of what 80 photographs took as JPEGs of 224 x 224 pixels: 1.7 / (105 - quality) bytes a pixel, which is 0.17 at
    quality 95. Pictures that keep their size: a tenth of their files.
    """
    known = (max(size, 0) for size in sizes)
    if spec.pass_through:
        return sum(known)
    if not spec.size:
        return sum(known) // 10
    image = _image_bytes(spec, spec.size)
    return count * image if spec.upscale else sum(min(size // 10, image) for size in known)


def _image_bytes(spec: TransformSpec, edge: int) -> int:
    """Of one image, of which a square of this edge is kept, or more."""
    pixel = _PNG_BYTES if spec.encoding == "png" else 1.7 / (105 - spec.quality)
    return int(edge**2 * pixel * (1 / 3 if spec.color == "gray" else 1))
