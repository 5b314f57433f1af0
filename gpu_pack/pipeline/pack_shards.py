"""Pack some shards of a plan: one stream of images through one set of workers, shard after shard."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from gpu_pack.backends import Backend, Choice, choose, open_backend
from gpu_pack.errors import OutputError, OutputExistsError, StrictError
from gpu_pack.gpu.engine_use import EngineUse
from gpu_pack.output.shard_files import ShardFiles
from gpu_pack.output.staging import FinishedShard, Staging
from gpu_pack.pipeline.boxes import place_boxes
from gpu_pack.pipeline.engine import Engine
from gpu_pack.pipeline.pass_through import PassThroughWorker
from gpu_pack.pipeline.plan import Plan, begin, obstacle, shard_names
from gpu_pack.pipeline.results import PackResult, ShardResult, keep_call
from gpu_pack.sources.listing import entries
from gpu_pack.sources.splits import Shard
from gpu_pack.stores.reading_worker import ReadingWorker
from gpu_pack.stores.store import REPEATED_REQUESTS
from gpu_pack.types import Entry, OnProgress, Outcome, Progress, Rejected, available_cores

#: Seconds between two calls of ``on_progress``.
_PROGRESS_EVERY = 0.1
#: Threads that pass files through: more only wait for the interpreter.
_MAX_PASS_THROUGH_THREADS = 16
#: Bytes of files that are passed through and not yet in the .rec.
_PASS_THROUGH_BYTES = 64 << 20


def pack_shards(
    plan: Plan, which: Iterable[int] | None = None, on_progress: OnProgress | None = None, choice: Choice | None = None
) -> PackResult:
    """Pack shards of a plan into its staging folder; what is there already stays, and is not packed again.

    Different processes may pack different shards of one plan at the same time.

    Args:
        which: numbers of shards, from 0; None for all.
        on_progress: called a few times a second.
        choice: the device, if it was chosen already.

    Raises:
        StrictError: the first bad image of a strict plan.
        GpuPackError: see `gpu_pack.errors`; whatever was written stays, and is resumed by the next call.
    """
    began, clock, shards = time.time(), time.monotonic(), plan.select(which)
    choice = choice or choose(plan.spec, plan.device)
    with plan.open_staging(locked=False) as staging:
        if staging.identity() is None:
            if not plan.whole:
                raise OutputError(f"{plan.place}: no run is there any more: it was published, or another one came")
            begin(plan, staging, once=True)
        if reason := obstacle(plan, staging):
            raise OutputExistsError(f"{plan.place}: another run was interrupted there, and {reason}")
        waiting = {shard.name for shard in shards if staging.result(shard.name) is None}
        packed = pack_into(plan, staging, shards, on_progress, choice)
        staging.send_finished()
        staging.wait()
        packed = replace(packed, began=began, seconds=time.monotonic() - clock)
        keep_call(staging, replace(packed, shards=tuple(each for each in packed.shards if each.name in waiting)))
        return packed


def pack_into(
    plan: Plan, staging: Staging, shards: Sequence[Shard], on_progress: OnProgress | None, choice: Choice
) -> PackResult:
    """Pack shards into the staging folder of a run that has begun; see `pack_shards`."""
    results = {shard.name: _packed_before(staging, shard.name) for shard in shards}
    moves_boxes = plan.boxes not in (None, "keep")
    files = [
        ShardFiles(staging, plan.listing, shard, plan.checksum, plan.writing, moves_boxes=moves_boxes)
        for shard in shards
        if results[shard.name] is None
    ]
    before = [result for result in results.values() if result is not None]
    progress = _Progress(plan, staging, files, before, on_progress or (lambda _: None))
    backend = _open(plan, staging, choice, sum(shard.undecided for shard in files))
    packed = _pack_all(plan, staging, files, backend, progress)
    staging.wait(progress.show_upload)
    results |= {result.name: result for result in packed.shards}
    return replace(packed, shards=tuple(result for result in results.values() if result is not None))


def _packed_before(staging: Staging, name: str) -> ShardResult | None:
    found = staging.result(name)
    if found is None:
        return None
    before = ShardResult.from_json(found)
    return replace(before, resumed=before.records)


def _open(plan: Plan, staging: Staging, choice: Choice, images: int) -> Backend:
    """The workers that the plan needs."""
    store = plan.listing.store
    if plan.spec.pass_through:
        count = min(plan.device.workers or plan.device.cores or available_cores(), _MAX_PASS_THROUGH_THREADS)
        workers = [
            ReadingWorker(PassThroughWorker(plan.spec, f"pass-through:{number}"), store) for number in range(count)
        ]
        return Backend(workers, choice, count, bytes_in_flight=_PASS_THROUGH_BYTES)
    # A run keeps its first encoder, since each writes other bytes: when it is resumed, and in all of its processes.
    noted = staging.note("encoder")
    device = replace(plan.device, encoder=noted) if noted else plan.device
    backend = open_backend(plan.spec, device, choice, store, images)
    if backend.encoder is None or backend.encoder == (noted := staging.note_once("encoder", backend.encoder)):
        return backend
    for worker in backend.workers:
        worker.close()
    return open_backend(plan.spec, replace(plan.device, encoder=noted), choice, store, images)


def _pack_all(
    plan: Plan, staging: Staging, files: Sequence[ShardFiles], backend: Backend, progress: _Progress
) -> PackResult:
    store = plan.listing.store
    listed: Iterator[Entry] = chain.from_iterable(
        entries(plan.listing, shard.shard.rows, shard.decided) for shard in files
    )
    if not backend.groups:  # other processes read for themselves
        listed = store.ahead(listed)
    # Closed also if it is never run, since nothing is left to be done.
    limits = {"bytes_in_flight": backend.bytes_in_flight, "batch_bytes": backend.batch_bytes}
    choice, engine = backend.choice, Engine(backend.workers, backend.rescue, **limits)
    undecided = sum(shard.undecided for shard in files)
    with EngineUse(choice.gpus) as use, closing(engine), closing(engine.run(listed, undecided)) as outcomes:
        results = tuple(_pack(plan, staging, shard, outcomes, progress) for shard in files)
    failures = backend.batch_failures()
    repeated = failures.pop(REPEATED_REQUESTS, 0)
    return PackResult(
        results,
        choice.device,
        choice.reason,
        backend.count,
        backend.encoder,
        tuple(engine.broken),
        tuple(failures.items()),
        repeated,
        use.result or None,
    )


def _pack(
    plan: Plan, staging: Staging, shard: ShardFiles, outcomes: Iterator[Outcome], progress: _Progress
) -> ShardResult:
    """Append a shard's share of the outcomes."""
    with closing(shard):
        shard.open()
        for outcome in islice(outcomes, shard.undecided):
            progress.count(shard.append(place_boxes(outcome, plan.spec, plan.boxes)))
        shard.finish()
    progress.show()
    result = _result(plan, shard)
    name = result.name
    sha256 = {f"{name}.rec": result.digest} if plan.checksum == "sha256" else {}
    staging.add_finished(FinishedShard(name, shard_names(name), sha256, shard.paths(), result.to_json()))
    if result.records and not plan.strict:  # else the run may yet end with nothing published
        staging.send_finished()
    return result


def _result(plan: Plan, shard: ShardFiles) -> ShardResult:
    """What a finished shard holds."""
    names = ((plan.listing.keys[row], plan.listing.paths[row]) for row in shard.shard.rows)
    rejects = shard.rejects.rejects
    state = shard.state
    return ShardResult(
        shard.shard.name,
        len(state.keys),
        state.size,
        state.checksum.hexdigest(),
        state.packed_by(),
        tuple(rejects[name] for name in names if name in rejects) if rejects else (),
        shard.resumed,
        shard.notices.merged(),
    )


class _Progress:
    """Counts images, and passes the counts on a few times a second; refuses bad images under ``strict``."""

    def __init__(
        self,
        plan: Plan,
        staging: Staging,
        files: Sequence[ShardFiles],
        before: Sequence[ShardResult],
        on_progress: OnProgress,
    ) -> None:
        self._strict, self._on_progress, self._next = plan.strict, on_progress, 0.0
        self._check = staging.check
        early = len(plan.listing.rejects)
        rejected = sum(len(result.rejects) for result in before) + early
        done = sum(result.records for result in before) + rejected
        self._state = Progress(
            sum(shard.decided for shard in files) + done,
            sum(len(shard.shard.rows) for shard in files) + done,
            rejected=sum(len(shard.rejects.rejects) for shard in files) + rejected,
        )
        self.show()

    def count(self, rejected: Rejected | None) -> None:
        self._state.done += 1
        if rejected is not None:
            if self._strict:
                raise strict_error(rejected)
            self._state.rejected += 1
        if time.monotonic() >= self._next:
            self.show()

    def show(self) -> None:
        self._check()
        self._on_progress(self._state)
        self._next = time.monotonic() + _PROGRESS_EVERY

    def show_upload(self) -> None:
        """All images are packed, and the last files are on their way."""
        self._state.detail = "(the last shards go up)"
        self.show()


def refuse_warnings(warnings: Sequence[Mapping[str, Any]]) -> None:
    """Raise `StrictError` if there is a warning."""
    if warnings:
        told = "; ".join(each["message"] for each in warnings)
        raise StrictError(f"{told}; nothing was published, as strict=True (--strict) says")


def strict_error(rejected: Rejected) -> StrictError:
    """The error that the first bad image is under ``strict``."""
    return StrictError(
        f"{rejected.entry.path} (key {rejected.entry.key}) cannot be packed, at {rejected.stage}: {rejected.reason}; "
        "nothing was published, as strict=True (--strict) says"
    )
