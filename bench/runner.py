"""Runs the workloads: each contender for few images, then all in turn for as many as the time allows."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import damage
from bench.contenders import CONTENDERS, Contender
from bench.environments import Environment
from bench.measure import HERE, Run, measure, size_of
from bench.plan import Pace, choose, pace
from bench.quality import FILTERS, Quality
from bench.state import Record, State
from bench.workloads import WORKLOADS, Case, Workload
from bench.workloads.inputs import Inputs, Source

_SECOND = 6  #: how many times the probe's images a second run takes
_SAMPLE = 24  #: crops that are compared with a reference
_SHORTEST_LIMIT, _PATIENCE = 45.0, 5.0  #: seconds, and times its estimate, before a run is ended
_WORDS = 140


@dataclass(frozen=True)
class Setting:
    """Attributes: ``work`` holds inputs and outputs; ``deadline`` is of the monotonic clock; ``cores`` to run on."""

    work: Path
    rounds: int
    deadline: float
    cores: Sequence[int]

    def left(self) -> float:
        return self.deadline - time.monotonic()


class Runner:
    """Runs cases and keeps what comes of them in the state.

    Args:
        environments: of each contender that was asked for; without a ``python`` it does not run.
        show: told of each run before it starts.
    """

    def __init__(
        self,
        setting: Setting,
        inputs: Inputs,
        state: State,
        environments: Mapping[str, Environment],
        show: Callable[[str], None],
    ) -> None:
        self._setting, self._inputs, self._state = setting, inputs, state
        self._environments, self._show, self._quality = environments, show, Quality()

    def run(self, name: str, seconds: float) -> None:
        """A workload, within about ``seconds``."""
        workload = WORKLOADS[name]
        cases = [case for case in workload.cases(len(self._setting.cores)) if self._ready(case)]
        if not cases:
            return
        began = time.monotonic()
        if workload.title.startswith("Growth"):
            self._grow(name, workload, cases, seconds)
        elif name == "damaged":
            self._damage(name, workload, cases)
        else:
            paces = self._probe(name, workload, cases)
            self._in_turn(name, workload, cases, paces, seconds - (time.monotonic() - began))

    def _ready(self, case: Case) -> bool:
        found = self._environments.get(case.contender)
        return found is not None and found.python is not None

    # ---- ways through a workload

    def _probe(self, name: str, workload: Workload, cases: list[Case]) -> dict[str, Pace]:
        """Two short runs of each, the first of which also shows its pictures."""
        counts = (workload.probe, min(_SECOND * workload.probe, workload.most))
        found: dict[str, list[Record]] = {case.row: [] for case in cases}
        for phase, count in zip(("probe", "second"), counts, strict=True):
            todo = [
                case for case in cases if phase == "probe" or (found[case.row] and found[case.row][0]["status"] == 0)
            ]
            if phase == "second" and counts[0] == counts[1]:
                continue
            with self._source(name, workload, count, todo, phase, 0) as source:
                for case in todo:
                    check = phase == "probe" and workload.checked
                    if record := self._once(name, workload, case, phase, 0, source, count, check=check):
                        found[case.row].append(record)
        return {
            row: pace(records[0]["count"], records[0]["seconds"], records[-1]["count"], records[-1]["seconds"])
            for row, records in found.items()
            if records and all(record["status"] == 0 for record in records)
        }

    def _in_turn(
        self, name: str, workload: Workload, cases: list[Case], paces: Mapping[str, Pace], seconds: float
    ) -> None:
        cases = [case for case in cases if case.row in paces]
        if not cases:
            return
        plan = self._state.first(kind="plan", workload=name)
        if plan is None:
            least = min(_SECOND * workload.probe, workload.most)
            count, rounds = choose(list(paces.values()), seconds, self._setting.rounds, least, workload.most)
            plan = self._state.add({"kind": "plan", "workload": name, "count": count, "rounds": rounds})
        for number in range(plan["rounds"]):
            with self._source(name, workload, plan["count"], cases, "round", number) as source:
                for case in cases:
                    estimate = paces[case.row].seconds(plan["count"])
                    self._once(name, workload, case, "round", number, source, plan["count"], estimate)

    def _grow(self, name: str, workload: Workload, cases: list[Case], seconds: float) -> None:
        """One run of each count, while the next one, ten times the last, still fits."""
        began = time.monotonic()
        last: dict[str, Record] = {}
        for case in cases:
            assert case.count is not None
            before = last.get(case.contender)
            if before and before["status"] != 0:
                continue
            estimate = before["seconds"] * case.count / before["count"] if before else 0.0
            if estimate > seconds - (time.monotonic() - began) and not self._state.first(workload=name, row=case.row):
                last[case.contender] = {"status": None}
                continue
            source = self._inputs_for(workload, case.count)
            if record := self._once(name, workload, case, "round", 0, source, case.count, estimate):
                last[case.contender] = record

    def _damage(self, name: str, workload: Workload, cases: list[Case]) -> None:
        source = workload.make(self._inputs, workload.probe)
        names = damage.names(source)
        for case in cases:
            if self._state.first(kind="damaged", row=case.row):
                continue
            run = self._pack(workload, case, source, _SHORTEST_LIMIT)
            if run is None:
                return
            keys = {int(path.stem) for path in self._read(workload, case, source)}
            told = damage.told(run, source, names, keys, self._out)
            self._state.add({"kind": "damaged", "row": case.row, "seconds": run.seconds, "told": told})
            self._clean()

    # ---- one run

    def _once(
        self, name: str, workload: Workload, case: Case, phase: str, number: int, source: Source | None, count: int,
        estimate: float = 0.0, check: bool = False,
    ) -> Record | None:  # fmt: skip
        """A run's record: of now or of before; None where no time is left for it."""
        which = {"kind": "run", "workload": name, "row": case.row, "phase": phase, "round": number}
        if known := self._state.first(**which):
            return known
        if source is None or estimate > self._setting.left():
            return None
        self._show(
            f"{name}: {case.row}, {count:,} {workload.things}, {phase} {number + 1 if phase == 'round' else ''}".strip(
                " ,"
            )
        )
        run = self._pack(workload, case, source, max(_SHORTEST_LIMIT, _PATIENCE * estimate))
        if run is None:
            return None
        record = {
            **which, "count": count, "status": run.status, "seconds": run.seconds, "cpu": run.cpu, "peak": run.peak,
            "bytes": size_of(self._out) if self._out.exists() else 0,
        }  # fmt: skip
        if run.status != 0:
            record["why"] = last_words(run)
        elif check and not self._state.first(kind="quality", workload=name, row=case.row):
            self._check(name, workload, case, source)
        self._clean()
        return self._state.add(record)

    def _pack(self, workload: Workload, case: Case, source: Source, limit: float) -> Run | None:
        self._clean()
        if self._setting.left() <= 0:
            return None
        return self._child(workload, case, source, "pack", min(limit, self._setting.left() + _SHORTEST_LIMIT))

    def _child(self, workload: Workload, case: Case, source: Source, do: str, limit: float) -> Run:
        contender = CONTENDERS[case.contender]
        cores = self._setting.cores[: case.cores or len(self._setting.cores)]
        job = job_of(contender, workload, source, do, str(self._out), len(cores), str(self._crops))
        python = self._environments[case.contender].python
        assert python is not None
        command = [python, str(HERE / "contenders" / f"{contender.script}.py"), json.dumps(job)]
        own = contender.environment is None
        return measure(command, self._setting.work / "scratch", own=own, limit=limit, cores=list(cores))

    def _read(self, workload: Workload, case: Case, source: Source) -> list[Path]:
        """The pictures of an output, as files named after their keys."""
        shutil.rmtree(self._crops, ignore_errors=True)
        self._crops.mkdir()
        if self._out.exists():
            self._child(workload, case, source, "read", _SHORTEST_LIMIT)
        return sorted(self._crops.iterdir(), key=lambda path: int(path.stem))

    def _check(self, name: str, workload: Workload, case: Case, source: Source) -> None:
        """Compare what was packed with the reference, or with the files themselves."""
        crops = self._read(workload, case, source)
        sources = damage.paths(source)
        found: Record = {"kind": "quality", "workload": name, "row": case.row, "found": len(crops), "of": source.count}
        if workload.pass_through:
            found["kept"] = sum(crop.read_bytes() == sources[int(crop.stem)].read_bytes() for crop in crops)
        else:
            values = [self._quality.psnr(crop, sources[int(crop.stem)], workload.size) for crop in crops[:_SAMPLE]]
            if whole := [value for value in values if value]:
                found |= {
                    name: [sum(each) / len(each), min(each)] for name in FILTERS if (each := [v[name] for v in whole])
                }
            found["other_size"] = len(values) - len(whole)
        self._state.add(found)

    # ---- where things lie

    @property
    def _out(self) -> Path:
        return self._setting.work / "out"

    @property
    def _crops(self) -> Path:
        return self._setting.work / "crops"

    def _clean(self) -> None:
        """Whoever overwrites a file has its memory at hand, whoever makes one must ask for it."""
        for path in (self._out, *self._setting.work.glob("out.*"), self._crops):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _source(self, name: str, workload: Workload, count: int, cases: list[Case], phase: str, number: int) -> _Served:
        """The source of a phase, with its server; not made where all runs of the phase are known."""
        known = {record["row"] for record in self._state.find(workload=name, phase=phase, round=number)}
        needed = any(case.row not in known for case in cases)
        return _Served(workload, self._inputs_for(workload, count) if needed and self._setting.left() > 0 else None)

    def _inputs_for(self, workload: Workload, count: int) -> Source:
        return workload.make(self._inputs, count)


class _Served:
    """A context: the source with what its server offers, or None."""

    def __init__(self, workload: Workload, source: Source | None) -> None:
        self._workload, self._source = workload, source
        self._server = workload.served(source.listed.parent) if source else None

    def __enter__(self) -> Source | None:
        if self._source is None or self._server is None:
            return None
        offered = self._server.__enter__()
        source = self._source
        return Source(source.listed, source.root, source.count, {**source.others, **offered}, source.damaged)

    def __exit__(self, *raised: Any) -> None:
        if self._server:
            self._server.__exit__(*raised)


def job_of(
    contender: Contender, workload: Workload, source: Source, do: str, out: str, cores: int, crops: str
) -> Record:
    """The argument of a contender's script."""
    asked = {
        "do": do,
        "out": out,
        "listed": str(source.listed),
        "root": str(source.root),
        "cores": cores,
        "crops": crops,
    }
    how = {"size": workload.size, "pass_through": workload.pass_through}
    return {**asked, **how, "options": dict(contender.options), "source": dict(source.others)}


def last_words(run: Run) -> str:
    """Why a run failed, in a line."""
    if run.status is None:
        return f"stopped after {run.seconds:.0f} s"
    lines = [line.strip() for line in run.log.splitlines() if line.strip()]
    return f"exit status {run.status}: {(lines or ['no word why'])[-1][:_WORDS]}"
