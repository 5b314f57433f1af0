"""The plan: what a run packs, as one value.

``plan -> pack_shards -> publish``: a plan is frozen and picklable, so that its shards can be packed by this process, by
others, or on other machines, in any order. The bytes of a shard depend on the plan alone. Spooled images lie on this
machine, as long as the spool is open; `gpu_pack.pipeline.shared_spool` puts them where others read them.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import gpu_pack
from gpu_pack.backends import DeviceOptions
from gpu_pack.errors import UsageError
from gpu_pack.gpu import settings
from gpu_pack.gpu.capabilities import unsupported
from gpu_pack.output.checkpoint import ChecksumName
from gpu_pack.output.identity import Identity, differences
from gpu_pack.output.shard_writer import WriterSettings
from gpu_pack.output.staging import Staging
from gpu_pack.pipeline.boxes import Boxes
from gpu_pack.sources.columns import Column
from gpu_pack.sources.listing import Listing
from gpu_pack.sources.splits import Shard
from gpu_pack.stores.lease import LeaseSettings
from gpu_pack.stores.object_store import ObjectStore
from gpu_pack.types import Target, TransformSpec

if TYPE_CHECKING:
    from gpu_pack.gpu.probe import Machine

#: The staging folder of create's runs.
STAGING = ".gpu-pack"
_STATS = "stats.bin"
#: Rows that are compared at once.
_STEP = 1 << 16


@dataclass(frozen=True)
class Plan:
    """What a run packs, with what, and where to.

    Attributes:
        source: what was listed, for messages.
        out: the folder that receives the files; for ``store``, this machine's folder in which they grow.
        staging: name of the staging folder in it.
        listing: the images.
        shards: which of them are in which file, in order.
        spec: what happens to each image.
        device: what to run on.
        identity: what must be the same for the run to be resumed; see `gpu_pack.output.identity.Identity`.
        strict: the first bad image ends the run, and nothing is published.
        checksum: of each .rec, for checkpoints; SHA-256 where the manifest tells it.
        writing: how often files are flushed and synced.
        boxes: what becomes of detection labels; None leaves all labels alone.
        store: the object store that receives the files; None for ``out``.
        lease: of the lock there.
        target: ``insightface``: the published files are `gpu_pack.pipeline.faces.FACE_FILES`.
        whole: it may begin its run; otherwise that was begun by the plan that this one is a part or a copy of.
    """

    source: str
    out: Path
    staging: str
    listing: Listing
    shards: tuple[Shard, ...]
    spec: TransformSpec
    device: DeviceOptions
    identity: Identity
    strict: bool = False
    checksum: ChecksumName = "sha256"
    writing: WriterSettings = field(default_factory=WriterSettings)
    boxes: Boxes | None = None
    store: ObjectStore | None = None
    lease: LeaseSettings = field(default_factory=LeaseSettings)
    target: Target | None = None
    whole: bool = True

    @property
    def place(self) -> str:
        """The output, as people call it."""
        return str(self.out) if self.store is None else self.store.root

    def open_staging(self, *, locked: bool = True) -> Staging:
        """The staging folder of the output; see there for errors."""
        only = None if self.whole else frozenset(shard.name for shard in self.shards)
        return open_staging(self.out, self.store, self.staging, self.lease, locked=locked, only=only)

    def select(self, which: Iterable[int] | None) -> list[Shard]:
        """The shards of these numbers, from 0; all of them for None.

        Raises:
            UsageError: there is no such shard.
        """
        numbers = range(len(self.shards)) if which is None else sorted(set(which))
        wrong = [number for number in numbers if not 0 <= number < len(self.shards)]
        if wrong:
            raise UsageError(f"shard {wrong[0]}: the plan has shards 0 to {len(self.shards) - 1}")
        return [self.shards[number] for number in numbers]

    def part(self, which: Iterable[int]) -> Plan:
        """A plan of some shards alone, with their images only, so that it is small where it is sent.

        Raises:
            UsageError: there is no such shard.
        """
        shards = self.select(which)
        one = len(shards) == 1
        listing = self.listing.part(shards[0].rows if one else array("q", chain(*(shard.rows for shard in shards))))
        return replace(self, listing=listing, shards=renumbered(shards), whole=False)


def renumbered(shards: Sequence[Shard]) -> tuple[Shard, ...]:
    """The shards of a listing that has their rows alone, one shard's after the other's."""
    ends = accumulate((len(shard.rows) for shard in shards), initial=0)
    spans = zip(shards, pairwise(ends), strict=True)
    return tuple(shard._replace(rows=range(*span)) for shard, span in spans)


def open_staging(
    out: Path,
    store: ObjectStore | None,
    name: str = STAGING,
    lease: LeaseSettings | None = None,
    *,
    locked: bool = True,
    only: Collection[str] | None = None,
) -> Staging:
    """The staging folder of an output; see `StoreStaging` for ``only``, and for errors."""
    if store is None:
        return Staging(out, name, locked=locked)
    from gpu_pack.output.store_staging import StoreStaging  # here: most runs do not need what it imports

    return StoreStaging(out, name, store, lease or LeaseSettings(), locked=locked, only=only)


def versions(spec: TransformSpec, device: DeviceOptions, machine: Machine | None = None) -> dict[str, str]:
    """Of the libraries that decide a result's bytes.

    Those of the GPU path are among them wherever they are installed and ``device`` may take a GPU, so that a run on a
    machine whose GPU has come or gone can be resumed.
    """
    if spec.pass_through:
        return {"gpu-pack": gpu_pack.__version__}
    import cv2

    found = {"gpu-pack": gpu_pack.__version__, "opencv": cv2.__version__}
    if device.device == "cpu" or unsupported(spec):
        return found
    from gpu_pack.gpu.probe import Machine

    return found | (machine or Machine()).pixel_versions()


def gpu_options(spec: TransformSpec, device: DeviceOptions) -> dict[str, float]:
    """Settings of the GPU path that decide a result's bytes; empty where ``device`` or ``spec`` needs no GPU."""
    if device.device == "cpu" or unsupported(spec):
        return {}
    return {"hw_decoder_load": settings.default_settings().hw_decoder_load}


def lists_digest(listing: Listing, shards: Iterable[Shard]) -> str:
    """The SHA-256 of what is listed and how it is divided."""
    digest = hashlib.sha256()
    for piece in chain(listing.keys.pieces(), _without_last(listing.paths.pieces()), listing.labels.value_pieces()):
        digest.update(piece)
    for piece in listing.labels.count_pieces():
        digest.update(piece)
    for shard in shards:
        digest.update(f"\n{shard.split}/{shard.name}\n".encode())
        digest.update(array("q", shard.rows))
    return digest.hexdigest()


def _without_last(pieces: Iterable[memoryview]) -> Iterator[memoryview]:
    """The pieces without the last byte of all."""
    held = memoryview(b"")
    for piece in pieces:
        if len(piece):
            yield held
            held = piece
    yield held[:-1]


# ---- begin or resume


def shard_names(name: str) -> list[str]:
    """The files that create publishes of a shard."""
    return [name + suffix for suffix in (".rec", ".idx", ".lst")]


def begin(plan: Plan, staging: Staging, *, once: bool = False) -> None:
    """Empty the staging folder and begin the plan's run in it; ``once``: unless another process has just done so."""
    listing = plan.listing
    files = {_STATS: chain(listing.sizes.pieces(), listing.versions.pieces())}
    names = [name for shard in plan.shards for name in shard_names(shard.name)]
    (staging.begin_once if once else staging.begin)(plan.identity, files, names)


def obstacle(plan: Plan, staging: Staging) -> str:
    """Why the interrupted run in the staging folder cannot be resumed by this plan; empty where it can."""
    found = differences(staging.identity() or {}, plan.identity)
    told = [str(item) for item in found if item.what != "lists"]
    if not told and found:
        told = ["the source lists other images now (some were added, removed or renamed)"]
    if not told and plan.whole and (changed := _changed_files(staging, plan.listing)):
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        told = [f"{changed[0]}{more} changed since it began"]
    return ", ".join(told)


def _changed_files(staging: Staging, listing: Listing) -> list[str]:
    """Files whose size or time is not what it was when the run began."""
    count = len(listing)
    if not count:
        return []
    try:
        with staging.run_file(_STATS).open("rb") as file:
            changed = sorted({*_changed_rows(file, listing.sizes), *_changed_rows(file, listing.versions)})
            as_long = file.tell() == 16 * count and not file.read(1)
    except FileNotFoundError:
        as_long = False
    return [listing.paths[row] for row in changed] if as_long else ["the list of files"]


def _changed_rows(file: BinaryIO, column: Column) -> Iterator[int]:
    """The rows of which a file tells another number."""
    for start in range(0, len(column), _STEP):
        now = column.slice(start, min(start + _STEP, len(column)))
        before = file.read(len(now))
        if before != now and len(before) == len(now):
            pairs = zip(memoryview(before).cast("q"), memoryview(now).cast("q"), strict=True)
            yield from (row for row, (one, two) in enumerate(pairs, start) if one != two)
