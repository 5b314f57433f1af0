"""The figures of a run, from its records: what goes into the JSON file, which the tables and the chart are made of."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench.contenders import CONTENDERS
from bench.environments import Environment
from bench.plan import pace
from bench.quality import FILTERS
from bench.state import Record, State
from bench.workloads import WORKLOADS, Case, Workload

NO_TIME = "no time was left"
#: How the reason begins where a contender's share of the time was too short.
LEFT_OUT = "left out: about"


def collect(
    state: State, environments: Mapping[str, Environment], cores: int, names: Sequence[str]
) -> list[dict[str, Any]]:
    """Each workload that was asked for or begun, in order, with a row for each case."""
    return [
        _workload(name, workload, state, environments, cores)
        for name, workload in WORKLOADS.items()
        if name in names or state.find(workload=name)
    ]


def _workload(
    name: str, workload: Workload, state: State, environments: Mapping[str, Environment], cores: int
) -> dict[str, Any]:
    cases = [case for case in workload.cases(cores) if case.contender in environments]
    plan = state.first(kind="plan", workload=name) or {}
    ours = (case.row for case in cases if case.contender.startswith("gpu-pack"))
    first = next(ours, None) if workload.way == "turns" else None
    base = _rates(state.find(kind="run", workload=name, row=first, phase="round", status=0))
    rows = [
        {"contender": case.contender, "title": title_of(case), **_row(name, case, state, environments, base)}
        for case in cases
    ]
    told = {"name": name, "title": workload.title, "way": workload.way, "things": workload.things}
    return {**told, "count": plan.get("count"), "rounds": plan.get("rounds"), "rows": rows}


def unfinished(workload: Mapping[str, Any]) -> bool:
    """Whether anything of a workload is missing for want of time."""
    rounds = workload["rounds"] or 1
    absent = (row.get("absent", "") for row in workload["rows"])
    return any(reason == NO_TIME or reason.startswith(LEFT_OUT) for reason in absent) or any(
        row.get("runs", rounds) < rounds for row in workload["rows"]
    )


def title_of(case: Case) -> str:
    title = CONTENDERS[case.contender].title
    return case.title.format(title) if case.title else title


def _row(
    name: str, case: Case, state: State, environments: Mapping[str, Environment], base: Mapping[int, float]
) -> dict[str, Any]:
    environment = environments[case.contender]
    if environment.python is None:
        return {"absent": environment.reason}
    runs = state.find(kind="run", workload=name, row=case.row)
    if not runs and (left_out := state.find(kind="left out", workload=name, row=case.row)):
        return {"absent": left_out[-1]["why"]}
    if told := next((run["told"] for run in runs if "told" in run), None):
        return {"told": told}
    if failed := next((run for run in runs if run["status"] != 0), None):
        return {"absent": failed["why"]}
    rounds = [run for run in runs if run["phase"] == "round"]
    if not rounds:
        return {"absent": NO_TIME}
    probe = next((run for run in runs if run["phase"] == "probe"), None)
    # The second run finds its libraries in the system's cache, as the rounds do.
    short = next((run for run in runs if run["phase"] == "second"), probe)
    return {**_figures(rounds, base), **_after_start(short, rounds), **_quality((probe or {}).get("quality"))}


def _rates(runs: Sequence[Record]) -> dict[int, float]:
    return {run["round"]: run["count"] / run["seconds"] for run in runs}


def _figures(rounds: Sequence[Record], base: Mapping[int, float]) -> dict[str, Any]:
    rates = _rates(rounds)
    ratios = [rate / base[number] for number, rate in rates.items() if number in base]
    count = rounds[0]["count"]
    peaks = [run["peak"] for run in rounds if run["peak"]]
    return {
        "count": count,
        "runs": len(rounds),
        "seconds": round(statistics.median(run["seconds"] for run in rounds), 2),
        "per_second": _spread(list(rates.values()), 1),
        "ratio": _spread(ratios, 3) if ratios else None,
        "cpu_seconds_per_thousand": round(statistics.median(run["cpu"] for run in rounds) / count * 1000, 3),
        "peak_bytes": max(peaks) if peaks else None,
        "output_bytes": rounds[-1]["bytes"],
    }


def _spread(values: Sequence[float], digits: int) -> dict[str, float]:
    """Median, least and most."""
    return {
        "median": round(statistics.median(values), digits),
        "least": round(min(values), digits),
        "most": round(max(values), digits),
    }


def _after_start(short: Record | None, rounds: Sequence[Record]) -> dict[str, Any]:
    """Seconds to start and the rate afterwards, from the short run and the median long one, where these tell."""
    seconds = statistics.median(run["seconds"] for run in rounds)
    if short is None or rounds[0]["count"] < 4 * short["count"] or seconds <= short["seconds"]:
        return {}
    found = pace(short["count"], short["seconds"], rounds[0]["count"], seconds)
    return {"start_seconds": round(found.start, 2), "per_second_after_start": round(1 / found.each, 1)}


def _quality(quality: Mapping[str, Any] | None) -> dict[str, Any]:
    if quality is None:
        return {}
    lost = {"lost": quality["of"] - quality["found"]} if quality["found"] < quality["of"] else {}
    if "kept" in quality:
        return {"files_kept": quality["kept"], "files": quality["of"], **lost}
    found: dict[str, Any] = {name: [round(value, 2) for value in quality[name]] for name in FILTERS if name in quality}
    return {"psnr": found, "other_size": quality["other_size"], **lost}
