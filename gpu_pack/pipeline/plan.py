"""The plan: what a run packs, as one value; and what packing some of its shards gives.

``plan -> pack_shards -> publish``: a plan is frozen and picklable, so that its shards can be packed by this process, by
others, or on other machines, in any order. The bytes of a shard depend on the plan alone. Spooled images lie on this
machine, as long as the spool is open.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import gpu_pack
from gpu_pack.backends import DeviceOptions
from gpu_pack.errors import OutputError, UsageError
from gpu_pack.formats.notices import Notice
from gpu_pack.formats.rejects import Reject
from gpu_pack.gpu import settings
from gpu_pack.gpu.capabilities import unsupported
from gpu_pack.output.checkpoint import ChecksumName
from gpu_pack.output.identity import Identity, differences
from gpu_pack.output.shard_writer import WriterSettings
from gpu_pack.output.staging import Staging
from gpu_pack.output.store_staging import StoreStaging
from gpu_pack.pipeline.boxes import Boxes
from gpu_pack.sources.listing import Listing
from gpu_pack.sources.splits import Shard
from gpu_pack.stores.lease import LeaseSettings
from gpu_pack.stores.object_store import ObjectStore
from gpu_pack.types import TransformSpec

if TYPE_CHECKING:
    from gpu_pack.gpu.probe import Machine

_STATS = "stats.bin"
#: A reader that the files are laid out for; None: all that read MXNet's.
Target = Literal["insightface"]


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

    @property
    def place(self) -> str:
        """The output, as people call it."""
        return str(self.out) if self.store is None else self.store.root

    def open_staging(self, *, locked: bool = True) -> Staging:
        """The staging folder of the output; see there for errors."""
        if self.store is None:
            return Staging(self.out, self.staging, locked=locked)
        return StoreStaging(self.out, self.staging, self.store, self.lease, locked=locked)

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


@dataclass(frozen=True)
class ShardResult:
    """What one packed shard holds.

    Attributes:
        name: of its files, without suffix.
        records, bytes: in the .rec.
        digest: the .rec's checksum, hexadecimal.
        packed_by: records by backend.
        rejects: its images that were not packed, in the list's order.
        resumed: records that an earlier, interrupted call had written.
        notices: notes and warnings about its images, one a code.
    """

    name: str
    records: int
    bytes: int
    digest: str
    packed_by: dict[str, int]
    rejects: tuple[Reject, ...]
    resumed: int = 0
    notices: tuple[Notice, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values, as another machine's run reads them."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ShardResult:
        """A shard that an earlier call packed, of what its `to_json` gave."""
        rejects, notices = tuple(value["rejects"]), tuple(Notice(**each) for each in value["notices"])
        return cls(**{**value, "rejects": rejects, "notices": notices, "resumed": value["records"]})


@dataclass(frozen=True)
class PackResult:
    """What one call of `pack_shards` did.

    Attributes:
        shards: those that it packed.
        device, reason: what ran, and why that.
        workers: how many.
        encoder: the GPU path's JPEG encoder; None without a GPU.
        broken: one sentence for each worker that was given up.
        batch_failures, jpeg_engines: see `gpu_pack.pipeline.report.Report`.
        repeated_requests: of worker processes to object stores.
    """

    shards: tuple[ShardResult, ...]
    device: str
    reason: str
    workers: int
    encoder: str | None = None
    broken: tuple[str, ...] = ()
    batch_failures: tuple[tuple[str, int], ...] = ()
    repeated_requests: int = 0
    jpeg_engines: str | None = None


def merge(plan: Plan, results: Iterable[PackResult]) -> PackResult:
    """The results of several calls of `pack_shards` as one, with the shards in the plan's order.

    Raises:
        OutputError: a shard of the plan is in none of them.
    """
    parts = list(results)
    found: dict[str, ShardResult] = {}
    for shard in (shard for part in parts for shard in part.shards):
        if shard.name not in found or shard.resumed < found[shard.name].resumed:
            found[shard.name] = shard  # packed twice: by the call that wrote most of it
    missing = [number for number, shard in enumerate(plan.shards) if shard.name not in found]
    if missing or not parts:
        numbers = ", ".join(map(str, missing[:20]))
        raise OutputError(f"{plan.place}: {len(missing)} of {len(plan.shards)} shards are not packed yet: {numbers}")
    failures: Counter[str] = Counter()
    for part in parts:
        failures.update(dict(part.batch_failures))
    return replace(
        parts[0],
        workers=sum(part.workers for part in parts),
        shards=tuple(found[shard.name] for shard in plan.shards),
        broken=tuple(sentence for part in parts for sentence in part.broken),
        batch_failures=tuple(failures.items()),
        repeated_requests=sum(part.repeated_requests for part in parts),
    )


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
    digest = hashlib.sha256(listing.keys.tobytes())
    digest.update("\n".join(listing.paths).encode("utf-8", "surrogateescape"))
    digest.update(array("d", (label for labels in listing.labels for label in labels)).tobytes())
    digest.update(array("I", map(len, listing.labels)).tobytes())
    for shard in shards:
        digest.update(f"\n{shard.split}/{shard.name}\n".encode())
        digest.update(shard.rows.tobytes())
    return digest.hexdigest()


# ---- begin or resume


def shard_names(name: str) -> list[str]:
    """The files that create publishes of a shard."""
    return [name + suffix for suffix in (".rec", ".idx", ".lst")]


def begin(plan: Plan, staging: Staging, *, once: bool = False) -> None:
    """Empty the staging folder and begin the plan's run in it; ``once``: unless another process has just done so."""
    listing = plan.listing
    files = {_STATS: listing.sizes.tobytes() + listing.versions.tobytes()}
    names = [name for shard in plan.shards for name in shard_names(shard.name)]
    (staging.begin_once if once else staging.begin)(plan.identity, files, names)


def obstacle(plan: Plan, staging: Staging) -> str:
    """Why the interrupted run in the staging folder cannot be resumed by this plan; empty where it can."""
    found = differences(staging.identity() or {}, plan.identity)
    told = [str(item) for item in found if item.what != "lists"]
    if not told and found:
        told = ["the source lists other images now (some were added, removed or renamed)"]
    if not told and (changed := _changed_files(staging, plan.listing)):
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        told = [f"{changed[0]}{more} changed since it began"]
    return ", ".join(told)


def _changed_files(staging: Staging, listing: Listing) -> list[str]:
    """Files whose size or time is not what it was when the run began."""
    try:
        found = (staging.folder / _STATS).read_bytes()
    except OSError:
        found = b""
    now = listing.sizes + listing.versions
    if found == now.tobytes():
        return []
    before = array("q")
    before.frombytes(found[: len(found) // 8 * 8])
    count = len(listing)
    if len(before) != 2 * count:
        return ["the list of files"]
    return [
        listing.paths[row] for row in range(count) if before[row] != now[row] or before[row + count] != now[row + count]
    ]
