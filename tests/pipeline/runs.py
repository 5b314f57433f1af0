"""Runs that are interrupted: stores that die after some files, and writers that flush and sync often."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from gpu_pack.backends import choose
from gpu_pack.output.shard_writer import WriterSettings
from gpu_pack.pipeline import create
from gpu_pack.pipeline.options import CreateOptions
from gpu_pack.pipeline.plan import Plan
from gpu_pack.pipeline.report import Report
from gpu_pack.pipeline.run import run
from gpu_pack.sources.spool import Spool
from gpu_pack.stores.local import LocalStore
from gpu_pack.types import Entry, Image, Rejected

#: As in a run of hours: records reach the file in small batches, and are synced often.
SMALL = WriterSettings(flush_bytes=3000, sync_bytes=9000)


class Killed(BaseException):
    """What a process that dies does not catch; raised in tests in place of the kill."""


@dataclass(frozen=True)
class WatchedStore(LocalStore):
    """A folder that tells of each file before it is read.

    Attributes:
        before_read: called with the number of the file, from 0, and its entry.
    """

    before_read: Callable[[int, Entry], None] = lambda number, entry: None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def read_many(self, entries: Iterable[Entry]) -> Iterator[Image | Rejected]:
        for entry in entries:
            self.before_read(next(self._numbers), entry)
            yield from super().read_many([entry])


def plan_of(source: Path, out: str | Path, options: CreateOptions) -> Plan:
    """The plan of one source that needs no spool."""
    return create.plan([str(source)], out, options, Spool(None))


def pack(plan: Plan, overwrite: bool = False) -> Report:
    """What create does with a plan."""
    policy = create.CreatePolicy(overwrite)
    return Report.from_json(run(plan, policy, choose(plan.spec, plan.device), lambda _: None))


def watched(plan: Plan, before_read: Callable[[int, Entry], None]) -> Plan:
    """The same plan over a store that calls ``before_read``."""
    store = WatchedStore(plan.listing.store.root, before_read)
    return replace(plan, listing=replace(plan.listing, store=store), writing=SMALL)


def interrupt_after(source: Path, out: str | Path, count: int, options: CreateOptions) -> None:
    """Run until ``count`` images are read, then die. With one worker, so that these are the first of the list."""

    def die(number: int, entry: Entry) -> None:
        if number >= count:
            raise Killed

    options = replace(options, device=replace(options.device, workers=1))
    plan = watched(plan_of(source, out, options), die)
    with pytest.raises(Killed):
        pack(plan, options.overwrite)
