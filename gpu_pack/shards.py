"""The part of a run that create and im2rec share: lists in, record files out, in order and resumable.

A listing's shards are written one after the other from a single stream of images, so that workers are started once.
What is decided is always a prefix of the lists: an image is a record or a reject, or comes after all that are.
"""

from __future__ import annotations

import io
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from gpu_pack import lst
from gpu_pack.backends import Backend, Choice, DeviceOptions, open_backend
from gpu_pack.durable import HashingFile, cut_file, unwritable
from gpu_pack.engine import Engine
from gpu_pack.errors import FormatError, StrictError
from gpu_pack.interface import Entry, Outcome, Rejected, TransformSpec
from gpu_pack.listing import Listing, entries
from gpu_pack.reading import read_images
from gpu_pack.recovery import Written, recover
from gpu_pack.report import RejectKey, RejectLog
from gpu_pack.splits import Shard
from gpu_pack.staging import Identity, Staging
from gpu_pack.writer import RecordWriter, write_index

_STATS = "stats.bin"


@dataclass
class Progress:
    """How far a run is, in images: told to the caller a few times a second."""

    total: int
    done: int = 0
    rejected: int = 0


OnProgress = Callable[[Progress], None]


@dataclass
class Part:
    """One shard under way: what of its list is decided, and what its file holds."""

    shard: Shard
    written: Written
    decided: int = 0


@dataclass(frozen=True)
class Work:
    """What a run packs, with what, and where it grows.

    Attributes:
        strict: the first bad image ends the run and empties the staging folder.
    """

    staging: Staging
    listing: Listing
    shards: list[Shard]
    spec: TransformSpec
    device: DeviceOptions
    rejects: RejectLog
    on_progress: OnProgress
    strict: bool = False


# ---- beginning


def list_digests(listing: Listing, shards: list[Shard]) -> dict[str, str]:
    """The sha256 of each shard's .lst: what tells one source and division from another."""
    return {shard.name + ".lst": write_list(listing, shard) for shard in shards}


def begin(work: Work, identity: Callable[[dict[str, str]], Identity]) -> list[Part]:
    """Empty the staging folder and lay the ground; every .lst is written there, and hashed for ``identity``."""
    staging, listing = work.staging, work.listing
    staging.clear()
    lists = {}
    for shard in work.shards:
        name = shard.name + ".lst"
        lists[name] = write_list(listing, shard, staging.path(name))
    staging.begin(identity(lists), {_STATS: listing.sizes.tobytes() + listing.mtimes.tobytes()})
    work.rejects.start(())
    for rejected in listing.unnameable:
        work.rejects.add(rejected, None)
    return [Part(shard, Written()) for shard in work.shards]


def obstacle(work: Work, identity: Identity) -> str:
    """Why the interrupted run that lies there cannot be gone on with, in words; empty where it can."""
    differences = work.staging.differences(identity)
    told = [str(item) for item in differences if not item.what.startswith("lists.")]
    if not told and differences:
        told = ["the list of images is another one now"]
    if not told and (changed := _changed_files(work.staging, work.listing)):
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        told = [f"{changed[0]}{more} changed since it began"]
    return ", ".join(told)


def resume(work: Work) -> list[Part]:
    """What the interrupted run had done: for each shard, the images decided without a gap."""
    staging, listing, rejects = work.staging, work.listing, work.rejects
    staging.resume()
    rejects.recover()
    parts = []
    kept = [_unnameable_key(rejected) for rejected in listing.unnameable]
    whole = True
    for shard in work.shards:
        name = shard.name + ".rec"
        path = staging.path(name)
        written = recover(path, staging.checkpoints(name), trust_tail=staging.same_boot) if whole else Written()
        part = Part(shard, written)
        if whole:
            part.decided, records, refused = _decided(listing, shard, written, rejects)
            written.cut(path, records)
            kept += refused
        whole = whole and part.decided == len(shard.rows)
        parts.append(part)
    for part in parts:  # before anything vouches for what comes after
        cut_file(staging.path(part.shard.name + ".rec"), part.written.size)
    staging.renew({part.shard.name + ".rec": part.written.size for part in parts})
    missing = [rejected for rejected in listing.unnameable if _unnameable_key(rejected) not in rejects.lines]
    for rejected in missing:
        kept.remove(_unnameable_key(rejected))
    rejects.start(kept)
    for rejected in missing:
        rejects.add(rejected, None)
    return parts


def _unnameable_key(rejected: Rejected) -> RejectKey:
    return None, rejected.entry.key, rejected.entry.path


def _decided(listing: Listing, shard: Shard, written: Written, rejects: RejectLog) -> tuple[int, int, list[RejectKey]]:
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


def write_list(listing: Listing, shard: Shard, path: Path | None = None) -> str:
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


# ---- working


def write_shards(work: Work, parts: list[Part], choice: Choice) -> tuple[Engine, Backend]:
    """Pack what is not decided yet, shard by shard; gives the engine and the workers for the report."""
    backend = _open_backend(work, choice)
    engine = Engine(backend.workers, backend.rescue)
    total = len(work.listing) + len(work.listing.unnameable)
    progress = Progress(total, sum(part.decided for part in parts), len(work.rejects.lines))
    work.on_progress(progress)
    images = read_images(_remaining(work.listing, parts), work.listing.root, threads=min(16, 2 + len(backend.workers)))
    with closing(engine.run(images)) as outcomes, closing(work.rejects):
        for part in parts:
            _write_shard(work, part, outcomes, progress)
        work.rejects.finish()
    return engine, backend


def _open_backend(work: Work, choice: Choice) -> Backend:
    """The workers; a run that goes on keeps the encoder that it began with, since the two write other bytes."""
    noted = work.staging.note("encoder")
    backend = open_backend(work.spec, replace(work.device, encoder=noted) if noted else work.device, choice)
    if backend.encoder is not None and noted is None:
        work.staging.set_note("encoder", backend.encoder)
    return backend


def _remaining(listing: Listing, parts: list[Part]) -> Iterator[Entry]:
    for part in parts:
        yield from entries(listing, part.shard.rows, part.decided)


def _write_shard(work: Work, part: Part, outcomes: Iterator[Outcome], progress: Progress) -> None:
    name = part.shard.name + ".rec"
    writer = RecordWriter(work.staging.path(name), part.written, lambda point: work.staging.add_checkpoint(name, point))
    tell_at = time.monotonic() + 0.1
    with closing(writer):
        for _ in range(part.decided, len(part.shard.rows)):
            outcome = next(outcomes)
            if not isinstance(outcome, Rejected):
                try:
                    writer.append(outcome)
                except FormatError as error:  # larger than a record can be
                    outcome = Rejected(outcome.entry, "encode", str(error))
            if isinstance(outcome, Rejected):
                _reject(work, outcome, part.shard.split)
                progress.rejected += 1
            progress.done += 1
            if (now := time.monotonic()) >= tell_at:
                work.on_progress(progress)
                tell_at = now + 0.1
        writer.finish()
    write_index(work.staging.path(part.shard.name + ".idx"), part.written)
    work.on_progress(progress)


def _reject(work: Work, rejected: Rejected, split: str) -> None:
    if work.strict:
        work.staging.clear()
        raise strict_error(rejected)
    work.rejects.add(rejected, split)


def strict_error(rejected: Rejected) -> StrictError:
    return StrictError(
        f"{rejected.entry.path} (key {rejected.entry.key}) cannot be packed, at {rejected.stage}: {rejected.reason}; "
        "nothing was published, as --strict says"
    )
