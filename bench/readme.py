"""The part of README.md between its marks, from what a run's JSON file holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import marks
from bench.contenders import FLOORS
from bench.readers.table import table
from bench.render import cell, number, quality, spread

PAGE = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- bench -->", "<!-- /bench -->"
Row = Mapping[str, Any]
_READING = (
    "Reading the crops again, images/s: {crops:,} crops, each tool with the settings in `bench/readers/contenders`, "
    "medians of its passes (`python -m bench.readers PHOTOS` does this alone):"
)


def with_tables(page: str, results: Mapping[str, Any]) -> str:
    """A page with the text between its marks renewed.

    Raises:
        ValueError: it has no marks.
    """
    return marks.replace(page, BEGIN, END, render(results))


def render(results: Mapping[str, Any]) -> str:
    """The text between the marks."""
    machine, photos = results["machine"], results["photographs"]
    found = {workload["name"]: workload for workload in results["workloads"]}
    parts = [
        "![images a second, by tool](bench/results/bench.svg)",
        f"{machine['cores']} cores ({machine['processor']}, a virtual machine), {machine['system']}, Python "
        f"{machine['python']}, input and output {machine['work']}; {results['begun']}, gpu-pack {machine['commit']}; "
        f"`{results['command']}`; {photos['files']} photographs of {photos['mean_bytes'] / 1000:.0f} kB on average. "
        "Whole processes in turn, with their start: medians, the least and the most in brackets. `x gpu-pack` is the "
        "speed divided by that of `gpu-pack create` in the same round; PSNR is to a Lanczos filter, mean and least. "
        "All tables: [bench/results/bench.md](bench/results/bench.md).",
    ]
    if "imagenet" in found:
        parts.append(_tools(found["imagenet"], found.get("damaged")))
    parts.append(_others([workload for name, workload in found.items() if name != "imagenet"]))
    if reading := results.get("reading"):
        parts.append(_READING.format(**reading))
        parts.append(table(reading).strip())
    return "\n\n".join(part for part in parts if part)


def _tools(workload: Mapping[str, Any], damaged: Mapping[str, Any] | None) -> str:
    """Every tool on photographs, and what it does about damaged ones."""
    told = {row["contender"]: row.get("told", "") for row in (damaged or {"rows": []})["rows"]}
    lines = [
        f"| {workload['title']} | images/s | x gpu-pack | CPU s per 1,000 | memory, MB | PSNR, dB | damaged files |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in workload["rows"]:
        if "absent" in row:
            lines.append(f"| {row['title']} | {cell(row['absent'])} | | | | | |")
            continue
        memory = row["peak_bytes"] and row["peak_bytes"] / 1e6
        cells = [
            spread(row["per_second"], 0),
            spread(row["ratio"], 2) if row["ratio"] else "",
            number(row["cpu_seconds_per_thousand"], 2),
            number(memory, 0),
            quality(row, "lanczos"),
            told.get(row["contender"], ""),
        ]
        lines.append(f"| {row['title']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _others(workloads: Sequence[Mapping[str, Any]]) -> str:
    """A line for each other workload: gpu-pack, im2rec.py, and the fastest of the rest."""
    lines = ["| | gpu-pack, a second | im2rec.py | the fastest other tool |", "|---|---|---|---|"]
    for workload in workloads:
        rows = [row for row in workload["rows"] if "per_second" in row]
        if workload["way"] != "turns" or not rows or workload["name"] == "cores":
            continue
        ours = max((row for row in rows if _is_ours(workload, row)), key=_rate, default=None)
        theirs = next((row for row in rows if row["contender"].startswith("im2rec.py")), None)
        tools = [row for row in rows if not row["contender"].startswith(("gpu-pack", "im2rec.py", *FLOORS))]
        best = max(tools, key=_rate, default=None)
        lines.append(f"| {workload['title']} | {_best(ours)} | {_best(theirs)} | {_best(best)} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def _is_ours(workload: Mapping[str, Any], row: Row) -> bool:
    """Whether a row is gpu-pack with the workload's own source, not with a folder to compare it with."""
    plain = workload["name"] in ("tar", "bucket") and row["contender"] == "gpu-pack"
    return row["contender"].startswith("gpu-pack") and not plain


def _rate(row: Row) -> float:
    return float(row["per_second"]["median"])


def _best(row: Row | None) -> str:
    return f"{number(_rate(row), 0)} ({row['title']})" if row else ""
