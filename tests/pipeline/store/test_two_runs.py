"""Two runs into one output are kept apart; machines that share a plan are not."""

from __future__ import annotations

import dataclasses
import json
import pickle
import time
from pathlib import Path

import pytest

from gpu_pack.errors import OutputLockedError
from gpu_pack.pipeline import create
from gpu_pack.pipeline.pack_shards import pack_shards
from gpu_pack.stores.lease import LeaseSettings
from gpu_pack.types import Entry
from tests.pipeline.runs import pack, plan_of, watched
from tests.pipeline.store.outputs import Output, run

pytest.importorskip("obstore")


def test_two_runs_at_once(out: Output, source: Path) -> None:
    """From this machine, whose folder is locked, and from another one."""
    refusals: list[float] = []

    def meanwhile(number: int, entry: Entry) -> None:
        if number != 20:
            return
        for machine, sentence in (("here", r"\(process \d+\) is writing here"), ("elsewhere", "is writing there")):
            start = time.monotonic()
            with pytest.raises(OutputLockedError, match=f"^{out.address}: another gpu-pack run .*{sentence}"):
                run(out, source, out.options(machine))
            refusals.append(time.monotonic() - start)

    pack(watched(plan_of(source, out.address, out.options()), meanwhile))
    assert len(refusals) == 2 and max(refusals) < 5


def test_a_dead_runs_lock_runs_out(out: Output, source: Path, undisturbed: dict[str, bytes]) -> None:
    plan = dataclasses.replace(plan_of(source, out.address, out.options()), lease=LeaseSettings(0.5, 0.1))
    lock = json.dumps({"owner": "dead", "host": "elsewhere", "process": 7, "seconds": 0.5}).encode()
    out.bucket.put("out/.gpu-pack/lock", lock)
    with pytest.raises(
        OutputLockedError, match=r"\(process 7 on elsewhere\) is writing there, or died within the last"
    ):
        pack(plan)
    time.sleep(2.1)
    pack(plan)
    assert out.objects() == undisturbed


def test_a_run_that_lost_its_lock_stops(out: Output, source: Path) -> None:
    def meanwhile(number: int, entry: Entry) -> None:
        if number == 20:
            out.bucket.put("out/.gpu-pack/lock", b'{"owner": "another"}')
            time.sleep(0.5)

    plan = watched(plan_of(source, out.address, out.options()), meanwhile)
    with pytest.raises(OutputLockedError, match=f"{out.address}: another run took over"):
        pack(dataclasses.replace(plan, lease=LeaseSettings(30, 0.1)))
    found = out.objects()
    assert "train-00003-of-00004.rec" not in found and "manifest.json" not in found
    assert found[".gpu-pack/lock"] == b'{"owner": "another"}'


# ---- several machines


def test_machines_that_share_a_plan(out: Output, source: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    """Each packs some shards in a folder of its own; one of them in two places."""
    plan = plan_of(source, out.address, out.options())
    machines = [pickle.loads(pickle.dumps(dataclasses.replace(plan, out=tmp_path / name))) for name in "abc"]
    results = [pack_shards(machine, which) for machine, which in zip(machines, ([3, 0], [1], [2, 1]), strict=True)]
    assert out.bucket.names().count("manifest.json") == 0
    report = create.publish(plan, results)
    assert (report.packed, report.rejected, report.resumed) == (36, 4, 0)
    assert out.objects() == undisturbed
