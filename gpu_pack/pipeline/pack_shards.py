"""The shards' files, filled one after the other from a single stream: workers and threads are started once."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice

from gpu_pack.backends import Backend, Choice, cores, open_backend
from gpu_pack.errors import FormatError, StrictError
from gpu_pack.output.shard_writer import RecordWriter, write_index
from gpu_pack.pipeline.engine import Engine, Item
from gpu_pack.pipeline.pass_through import FilePasser
from gpu_pack.pipeline.resume import Progress, RunContext, ShardProgress, strict_error
from gpu_pack.sources.listing import entries
from gpu_pack.stores.io_threads import MOST_READERS
from gpu_pack.stores.local import read_images
from gpu_pack.types import Entry, Framed, Outcome, Rejected


@dataclass
class Execution:
    """What did the work, for the report.

    Attributes:
        workers: how many; in pass-through, the threads that it began with.
        encoder: which JPEG encoder ran on the GPU path; None without it.
        broken: one sentence for each worker that was given up.
    """

    choice: Choice
    workers: int
    encoder: str | None = None
    broken: list[str] = field(default_factory=list)


#: Writes one shard's images, and yields (done, of them rejected) as it goes.
Fill = Callable[[ShardProgress, RecordWriter], Generator[tuple[int, int], None, None]]


def write_shards(work: RunContext, parts: list[ShardProgress], choice: Choice) -> Execution:
    """Pack what is not decided yet, shard by shard, in the lists' order."""
    with closing(work.rejects):
        return _pass_through(work, parts, choice) if work.spec.pass_through else _transform(work, parts, choice)


def _transform(work: RunContext, parts: list[ShardProgress], choice: Choice) -> Execution:
    # A run that goes on keeps the encoder that it began with, since the two write other bytes.
    noted = work.staging.note("encoder")
    device = replace(work.device, encoder=noted) if noted else work.device
    images = sum(len(part.shard.rows) - part.decided for part in parts)
    backend = open_backend(work.spec, device, choice, work.listing.root, images)
    listed = chain.from_iterable(_undecided(work, part) for part in parts)
    # Closed also if it is never run, since nothing is left to be done.
    with closing(Engine(backend.workers, backend.rescue, bytes_in_flight=backend.bytes_in_flight)) as engine:
        if backend.encoder is not None and noted is None:
            work.staging.set_note("encoder", backend.encoder)
        with closing(engine.run(_items(backend, listed, work.listing.root))) as outcomes:
            _write(work, parts, partial(_append_outcomes, work, outcomes))
    return Execution(backend.choice, backend.count, backend.encoder, engine.broken)


def _items(backend: Backend, listed: Iterator[Entry], root: str) -> Iterator[Item]:
    """What the workers take: entries where they read the files, else images."""
    if backend.reading == "remote":
        return listed
    return read_images(listed, root, threads=max(2, backend.count // 4), by_caller=backend.reading == "inline")


def _pass_through(work: RunContext, parts: list[ShardProgress], choice: Choice) -> Execution:
    # One reads, one writes and one hashes at a time, and each thread has a buffer: more would only take memory.
    asked = min(work.device.workers or 0, MOST_READERS)
    threads = asked or min(3, cores())
    with closing(FilePasser(work.listing.root, work.spec, threads, asked or MOST_READERS)) as passer:
        _write(work, parts, partial(_append_files, work, passer))
    return Execution(choice, threads)


def _undecided(work: RunContext, part: ShardProgress) -> Iterator[Entry]:
    return entries(work.listing, part.shard.rows, part.decided)


# ---- shard by shard


def _write(work: RunContext, parts: list[ShardProgress], fill: Fill) -> None:
    total = len(work.listing) + len(work.listing.unlistable)
    progress = Progress(total, sum(part.decided for part in parts), len(work.rejects.lines))
    work.on_progress(progress)
    try:
        with closing(work.rejects):
            for part in parts:
                _write_shard(work, part, fill, progress)
            work.rejects.finish()
    except StrictError:  # nothing is left of the run; only now, since Windows removes no file that is open
        work.staging.clear()
        raise


def _write_shard(work: RunContext, part: ShardProgress, fill: Fill, progress: Progress) -> None:
    name = part.shard.name + ".rec"
    writer = RecordWriter(work.staging.path(name), part.written, lambda point: work.staging.add_checkpoint(name, point))
    tell_at = time.monotonic() + 0.1
    with closing(writer):
        with closing(fill(part, writer)) as steps:
            for done, rejected in steps:
                progress.done += done
                progress.rejected += rejected
                if (now := time.monotonic()) >= tell_at:
                    work.on_progress(progress)
                    tell_at = now + 0.1
        writer.finish()
    write_index(work.staging.path(part.shard.name + ".idx"), part.written)
    work.on_progress(progress)


# ---- what fills a shard


def _append_outcomes(
    work: RunContext, outcomes: Iterator[Outcome], part: ShardProgress, writer: RecordWriter
) -> Generator[tuple[int, int], None, None]:
    for outcome in islice(outcomes, len(part.shard.rows) - part.decided):
        rejected = _append(writer, outcome)
        if rejected is not None:
            _reject(work, part, rejected)
        yield 1, rejected is not None


def _append(writer: RecordWriter, outcome: Outcome) -> Rejected | None:
    """Write an image; what cannot be written comes back."""
    if isinstance(outcome, Rejected):
        return outcome
    try:
        writer.append(outcome)
    except FormatError as error:  # larger than a record can be
        return Rejected(outcome.entry, "encode", str(error))
    return None


def _append_files(
    work: RunContext, passer: FilePasser, part: ShardProgress, writer: RecordWriter
) -> Generator[tuple[int, int], None, None]:
    def append(framed: Framed) -> None:
        for rejected in framed.rejected:  # before the records that follow them: see shards._decided
            _reject(work, part, rejected)
        writer.append_framed(framed)

    with closing(passer.run(_undecided(work, part), append, writer.hash_framed)) as passed:
        for framed in passed:
            yield len(framed.keys) + len(framed.rejected), len(framed.rejected)


def _reject(work: RunContext, part: ShardProgress, rejected: Rejected) -> None:
    if work.strict:
        raise strict_error(rejected)
    work.rejects.add(rejected, part.shard.split)
