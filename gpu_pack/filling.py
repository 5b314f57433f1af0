"""The shards' files, filled one after the other from a single stream: workers and threads are started once."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain

from gpu_pack.backends import Backend, Choice, cores, open_backend
from gpu_pack.engine import Engine
from gpu_pack.errors import FormatError
from gpu_pack.interface import Entry, Framed, Outcome, Rejected
from gpu_pack.io_threads import MOST_READERS
from gpu_pack.listing import entries
from gpu_pack.passing import frame_files
from gpu_pack.reading import read_images
from gpu_pack.shards import Part, Progress, Work, strict_error
from gpu_pack.writer import RecordWriter, write_index


@dataclass
class Ran:
    """What did the work, for the report.

    Attributes:
        workers: how many; in pass-through, the threads that read.
        encoder: which JPEG encoder ran on the GPU path; None without it.
        broken: one sentence for each worker that was given up.
    """

    choice: Choice
    workers: int
    encoder: str | None = None
    broken: list[str] = field(default_factory=list)


def write_shards(work: Work, parts: list[Part], choice: Choice) -> Ran:
    """Pack what is not decided yet, shard by shard, in the lists' order."""
    lists = (entries(work.listing, part.shard.rows, part.decided) for part in parts)
    if work.spec.pass_through:
        return _pass_through(work, parts, lists, choice)
    backend = _open_backend(work, choice)
    engine = Engine(backend.workers, backend.rescue)
    readers = max(2, len(backend.workers) // 4)
    images = read_images(chain.from_iterable(lists), work.listing.root, threads=readers)
    _write(work, parts, engine.run(images))
    return Ran(backend.choice, len(backend.workers), backend.encoder, engine.broken)


def _pass_through(work: Work, parts: list[Part], lists: Iterable[Iterable[Entry]], choice: Choice) -> Ran:
    asked = work.device.workers
    # Writing and hashing take a core each, and one thread keeps up with them where files are not small.
    threads = asked or max(1, min(4, cores() // 2))
    most = asked or MOST_READERS
    framed = frame_files(lists, work.listing.root, work.spec, threads=threads, most_threads=most)
    _write(work, parts, framed)
    return Ran(choice, threads)


def _open_backend(work: Work, choice: Choice) -> Backend:
    """The workers; a run that goes on keeps the encoder that it began with, since the two write other bytes."""
    noted = work.staging.note("encoder")
    backend = open_backend(work.spec, replace(work.device, encoder=noted) if noted else work.device, choice)
    if backend.encoder is not None and noted is None:
        work.staging.set_note("encoder", backend.encoder)
    return backend


def _write(work: Work, parts: list[Part], results: Generator[Outcome | Framed, None, None]) -> None:
    total = len(work.listing) + len(work.listing.unnameable)
    progress = Progress(total, sum(part.decided for part in parts), len(work.rejects.lines))
    work.on_progress(progress)
    with closing(results), closing(work.rejects):
        for part in parts:
            _write_shard(work, part, results, progress)
        work.rejects.finish()


def _write_shard(work: Work, part: Part, results: Iterator[Outcome | Framed], progress: Progress) -> None:
    name = part.shard.name + ".rec"
    writer = RecordWriter(work.staging.path(name), part.written, lambda point: work.staging.add_checkpoint(name, point))
    tell_at = time.monotonic() + 0.1
    left = len(part.shard.rows) - part.decided
    with closing(writer):
        while left:
            result = next(results)
            if isinstance(result, Framed):
                done, rejected = len(result.keys) + len(result.rejected), result.rejected
                _reject(work, part, rejected)  # before the records that follow them: see shards._decided
                writer.append_framed(result)
            else:
                done, rejected = 1, _append(writer, result)
                _reject(work, part, rejected)
            left -= done
            progress.done += done
            progress.rejected += len(rejected)
            if (now := time.monotonic()) >= tell_at:
                work.on_progress(progress)
                tell_at = now + 0.1
        writer.finish()
    write_index(work.staging.path(part.shard.name + ".idx"), part.written)
    work.on_progress(progress)


def _append(writer: RecordWriter, outcome: Outcome) -> list[Rejected]:
    """Write an image; what cannot be written comes back."""
    if isinstance(outcome, Rejected):
        return [outcome]
    try:
        writer.append(outcome)
    except FormatError as error:  # larger than a record can be
        return [Rejected(outcome.entry, "encode", str(error))]
    return []


def _reject(work: Work, part: Part, rejected: list[Rejected]) -> None:
    for each in rejected:
        if work.strict:
            work.staging.clear()
            raise strict_error(each)
        work.rejects.add(each, part.shard.split)
