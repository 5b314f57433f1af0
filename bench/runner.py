"""Ways through a workload: each contender for few images, then all in turn for as many as the time allows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from bench import damage
from bench.environments import Environment
from bench.executor import Executor, Setting, last_words
from bench.figures import LEFT_OUT
from bench.plan import Pace, choose, pace
from bench.state import Record, State
from bench.workloads import WORKLOADS, Case, Workload
from bench.workloads.inputs import Inputs, Source

_SECOND = 6  #: how many times the probe's images a second run takes
_LEAST_LIMIT, _PATIENCE = 120.0, 5.0  #: seconds, and times its estimate, before a run is ended
_HANGS = 45.0  #: seconds after which a run with damaged files is said to hang
_GRACE = 45.0  #: seconds that a run may take beyond the time


@dataclass(frozen=True)
class Tools:
    """What every workload runs with; ``show`` is told of each run before it starts."""

    setting: Setting
    inputs: Inputs
    state: State
    environments: Mapping[str, Environment]
    show: Callable[[str], None]


def run_workload(name: str, tools: Tools, seconds: float) -> None:
    """Run a workload within about ``seconds``; what the state knows already is not run again."""
    workload = WORKLOADS[name]
    cases = [
        case
        for case in workload.cases(len(tools.setting.cores))
        if (found := tools.environments.get(case.contender)) and found.python
    ]
    run = _Workload(name, workload, tools)
    ways = {"turns": run.take_turns, "growth": run.grow, "damage": run.damage}
    if cases:
        ways[workload.way](cases, time.monotonic() + seconds)


class _Workload:
    def __init__(self, name: str, workload: Workload, tools: Tools) -> None:
        self._name, self._workload, self._tools = name, workload, tools
        self._executor = Executor(tools.setting, tools.environments)

    def take_turns(self, cases: list[Case], until: float) -> None:
        """Two short runs of each, then A B A B."""
        paces = self._probe(cases)
        cases = [case for case in cases if case.row in paces]
        if not cases:
            return
        count, rounds = self._plan(list(paces.values()), until - time.monotonic())
        for number in range(rounds):
            with self._source(count, cases, "round", number) as source:
                for case in cases:
                    self._once(case, "round", number, source, count, paces[case.row].seconds(count))

    def _probe(self, cases: list[Case]) -> dict[str, Pace]:
        """The paces of those that work; the first run also shows their pictures."""
        few = self._workload.probe
        more = min(_SECOND * few, self._workload.most)
        first = self._pass("probe", few, cases)
        cases = [case for case in cases if case.row in first]
        second = self._pass("second", more, cases) if more > few else first
        return {row: pace(few, first[row], more, seconds) for row, seconds in second.items()}

    def _pass(self, phase: str, count: int, cases: list[Case]) -> dict[str, float]:
        """Seconds of those that work."""
        with self._source(count, cases, phase, 0) as source:
            records = {case.row: self._once(case, phase, 0, source, count) for case in cases}
        return {row: record["seconds"] for row, record in records.items() if record and record["status"] == 0}

    def _plan(self, paces: list[Pace], seconds: float) -> tuple[int, int]:
        """Images and rounds; a resumed run keeps them."""
        plan = self._tools.state.first(kind="plan", workload=self._name)
        if plan is None:
            least = min(_SECOND * self._workload.probe, self._workload.most)
            count, rounds = choose(paces, seconds, self._tools.setting.rounds, least, self._workload.most)
            made = {"kind": "plan", "workload": self._name, "count": count, "rounds": rounds}
            plan = self._tools.state.add(made)
        return plan["count"], plan["rounds"]

    def grow(self, cases: list[Case], until: float) -> None:
        """One run of each count; a contender stops before the first for which the time is too short."""
        each: dict[str, float] = {}
        for case in cases:
            assert case.count is not None
            estimate = each.get(case.contender, 0.0) * case.count
            known = self._tools.state.first(kind="run", workload=self._name, row=case.row)
            if not known and estimate > until - time.monotonic():
                self._leave_out(case, estimate)
                continue
            source = None if known else self._workload.make(self._tools.inputs, case.count)
            record = self._once(case, "round", 0, source, case.count, estimate)
            if record:
                each[case.contender] = record["seconds"] / case.count if record["status"] == 0 else math.inf

    def _leave_out(self, case: Case, estimate: float) -> None:
        why = "a run of fewer failed" if math.isinf(estimate) else f"{estimate:,.0f} s, more than its share of the time"
        which = {"kind": "left out", "workload": self._name, "row": case.row}
        prefix = "left out:" if math.isinf(estimate) else LEFT_OUT
        self._tools.state.add({**which, "why": f"{prefix} {why}"})

    def damage(self, cases: list[Case], until: float) -> None:
        """One run of each, and what became of the damaged files."""
        with self._source(self._workload.probe, cases, "damage", 0) as source:
            for case in cases:
                record = self._once(case, "damage", 0, source, self._workload.probe)
                if record is None:
                    return

    # ---- one run

    def _once(
        self, case: Case, phase: str, number: int, source: Source | None, count: int, estimate: float = 0.0
    ) -> Record | None:
        """A run's record: of now or of before; None where no time is left for it."""
        state, executor = self._tools.state, self._executor
        which = {"kind": "run", "workload": self._name, "row": case.row, "phase": phase, "round": number}
        if known := state.first(**which):
            return known
        if source is None or max(estimate, 1.0) > self._tools.setting.left():
            return None
        turn = f" {number + 1}" if phase == "round" else ""
        self._tools.show(f"{self._name}: {case.row}, {count:,} {self._workload.things}, {phase}{turn}")
        limit = _HANGS if phase == "damage" else max(_LEAST_LIMIT, _PATIENCE * estimate)
        allowed = min(limit, self._tools.setting.left() + _GRACE)
        run = executor.pack(self._workload, case, source, allowed)
        if run.status is None and allowed < limit:  # our time ended, not its patience: a resumed run tries again
            executor.clean()
            return None
        record = {
            **which, "count": count, "status": run.status, "seconds": run.seconds, "cpu": run.cpu, "peak": run.peak,
            "bytes": executor.output_bytes(),
        }  # fmt: skip
        if phase == "damage":
            packed = {int(path.stem) for path in executor.read(self._workload, case, source)}
            record["told"] = damage.told(run, source, damage.names(source), packed, executor.out)
        elif run.status != 0:
            record["why"] = last_words(run)
        elif phase == "probe" and self._workload.checked:
            record["quality"] = executor.check(self._workload, case, source)
        executor.clean()
        return state.add(record)

    @contextmanager
    def _source(self, count: int, cases: list[Case], phase: str, number: int) -> Iterator[Source | None]:
        """The source of a phase, with what its server offers; None where all its runs are known, or time is up."""
        known = self._tools.state.find(kind="run", workload=self._name, phase=phase, round=number)
        if {case.row for case in cases} <= {record["row"] for record in known} or self._tools.setting.left() <= 0:
            yield None
            return
        source = self._workload.make(self._tools.inputs, count)
        with self._workload.served(source.listed.parent) as offered:
            yield replace(source, others={**source.others, **offered})
