"""Where the runs of create and im2rec begin, or go on: the lists, and what of each shard is decided already.

What is decided is always a prefix of the lists: an image is a record or a reject, or comes after all that are.
"""

from __future__ import annotations

import hashlib
import io
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gpu_pack
from gpu_pack.backends import DeviceOptions
from gpu_pack.errors import StrictError
from gpu_pack.formats import lst
from gpu_pack.output.checkpoint import Digest, RecordFileState, recover
from gpu_pack.output.staging import Identity, Staging
from gpu_pack.pipeline.report import RejectKey, RejectLog
from gpu_pack.sources.listing import Listing, entries
from gpu_pack.sources.splits import Shard
from gpu_pack.stores.atomic_file import HashingFile, cut_file, hash_file, unwritable
from gpu_pack.types import Rejected, TransformSpec

_STATS = "stats.bin"


@dataclass
class Progress:
    """How far a run is, in images: told to the caller a few times a second."""

    total: int
    done: int = 0
    rejected: int = 0


OnProgress = Callable[[Progress], None]


@dataclass
class ShardProgress:
    """One shard under way: what of its list is decided, and what its file holds."""

    shard: Shard
    written: RecordFileState
    decided: int = 0


@dataclass(frozen=True)
class RunContext:
    """What a run packs, with what, and where it grows.

    Attributes:
        strict: the first bad image ends the run and empties the staging folder.
        new_digest: of each .rec: what shows whether it is what a checkpoint says, and stands in create's manifest.
    """

    staging: Staging
    listing: Listing
    shards: list[Shard]
    spec: TransformSpec
    device: DeviceOptions
    rejects: RejectLog
    on_progress: OnProgress
    strict: bool = False
    new_digest: Callable[[], Digest] = hashlib.sha256


# ---- beginning


def versions(spec: TransformSpec) -> dict[str, str]:
    """Of what decides the bytes of a result: ours, and OpenCV's where pictures are decoded."""
    if spec.pass_through:
        return {"gpu-pack": gpu_pack.__version__}
    import cv2

    return {"gpu-pack": gpu_pack.__version__, "opencv": cv2.__version__}


def list_digests(listing: Listing, shards: list[Shard]) -> dict[str, str]:
    """The sha256 of each shard's .lst: what tells one source and division from another."""
    return {shard.name + ".lst": write_shard_list(listing, shard) for shard in shards}


def begin(work: RunContext, identity: Callable[[dict[str, str]], Identity]) -> list[ShardProgress]:
    """Empty the staging folder and lay the ground; every .lst is written there, and hashed for ``identity``."""
    staging, listing = work.staging, work.listing
    staging.clear()
    lists = {}
    for shard in work.shards:
        name = shard.name + ".lst"
        lists[name] = write_shard_list(listing, shard, staging.path(name))
    staging.begin(identity(lists), {_STATS: listing.sizes.tobytes() + listing.mtimes.tobytes()})
    work.rejects.start(())
    for rejected in listing.unlistable:
        work.rejects.add(rejected, None)
    return [ShardProgress(shard, RecordFileState(work.new_digest)) for shard in work.shards]


def obstacle(work: RunContext, identity: Identity) -> str:
    """Why the interrupted run that lies there cannot be gone on with, in words; empty where it can."""
    differences = work.staging.differences(identity)
    told = [str(item) for item in differences if not item.what.startswith("lists.")]
    if not told and differences:
        told = ["the source lists other images now (some were added, removed or renamed)"]
    if not told and (changed := _changed_files(work.staging, work.listing)):
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        told = [f"{changed[0]}{more} changed since it began"]
    return ", ".join(told)


def resume(work: RunContext) -> list[ShardProgress]:
    """What the interrupted run had done: for each shard, the images decided without a gap."""
    staging, listing, rejects = work.staging, work.listing, work.rejects
    staging.resume()
    _mend_lists(work)
    rejects.recover()
    parts = []
    kept = [_unnameable_key(rejected) for rejected in listing.unlistable]
    whole = True
    for shard in work.shards:
        name = shard.name + ".rec"
        path = staging.path(name)
        written = RecordFileState(work.new_digest)
        if whole:
            written = recover(path, staging.checkpoints(name), work.new_digest, trust_tail=staging.same_boot)
        part = ShardProgress(shard, written)
        if whole:
            part.decided, records, refused = _decided(listing, shard, written, rejects)
            written.cut(path, records)
            kept += refused
        whole = whole and part.decided == len(shard.rows)
        parts.append(part)
    for part in parts:  # before anything vouches for what comes after
        cut_file(staging.path(part.shard.name + ".rec"), part.written.size)
    staging.renew({part.shard.name + ".rec": part.written.size for part in parts})
    missing = [rejected for rejected in listing.unlistable if _unnameable_key(rejected) not in rejects.lines]
    for rejected in missing:
        kept.remove(_unnameable_key(rejected))
    rejects.start(kept)
    for rejected in missing:
        rejects.add(rejected, None)
    return parts


def _mend_lists(work: RunContext) -> None:
    """Write again each staged .lst that is not what it was: the run's identity has just said what it must be."""
    digests = (work.staging.identity() or {}).get("lists", {})
    for shard in work.shards:
        name = shard.name + ".lst"
        path = work.staging.path(name)
        if not path.is_file() or hash_file(path) != digests.get(name):
            write_shard_list(work.listing, shard, path)


def _unnameable_key(rejected: Rejected) -> RejectKey:
    return None, rejected.entry.key, rejected.entry.path


def _decided(
    listing: Listing, shard: Shard, written: RecordFileState, rejects: RejectLog
) -> tuple[int, int, list[RejectKey]]:
    """How many entries, in list order and without a gap, are records or rejects; how many are records; the rejects.

    Rejects come first: a record names only its key, which im2rec's lists may give to several images.
    """
    records = 0
    refused: list[RejectKey] = []
    for position, row in enumerate(shard.rows):
        key = listing.keys[row]
        name = (shard.split, key, listing.paths[row])
        if name in rejects.lines:
            refused.append(name)
        elif records < len(written.keys) and written.keys[records] == key:
            records += 1
        else:
            return position, records, refused
    return len(shard.rows), records, refused


def write_shard_list(listing: Listing, shard: Shard, path: Path | None = None) -> str:
    """Write a shard's .lst, synced, and give its sha256; without a path, only that."""
    try:
        with HashingFile(path) as raw:
            text = io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", newline="\n")
            lst.write_list(text, entries(listing, shard.rows))
            text.flush()
            text.detach()
            return raw.sha256.hexdigest()
    except OSError as error:
        raise unwritable(path or Path(shard.name), error) from error


def _changed_files(staging: Staging, listing: Listing) -> list[str]:
    """Files whose size or time is not what it was when the run began."""
    try:
        found = (staging.folder / _STATS).read_bytes()
    except OSError:
        found = b""
    if found == listing.sizes.tobytes() + listing.mtimes.tobytes():
        return []
    before = array("q")
    before.frombytes(found[: len(found) // 8 * 8])
    now = listing.sizes + listing.mtimes
    count = len(listing)
    if len(before) != 2 * count:
        return ["the list of files"]
    return [
        listing.paths[row] for row in range(count) if before[row] != now[row] or before[row + count] != now[row + count]
    ]


def strict_error(rejected: Rejected) -> StrictError:
    return StrictError(
        f"{rejected.entry.path} (key {rejected.entry.key}) cannot be packed, at {rejected.stage}: {rejected.reason}; "
        "nothing was published, as --strict says"
    )
