"""The results as a table in Markdown."""

from __future__ import annotations

from typing import Any

_BOTH = ("random", "in order")


def table(result: dict[str, Any]) -> str:
    """A line for each contender: images/s by one process and by all cores, at random and in order; CPU and memory."""
    cores = result["cores"]
    lines = [
        f"| | one process: random | in order | {cores} workers: random | in order | CPU s per 1,000, {cores} workers | "
        f"peak MiB, {cores} workers |",
        "|---|---|---|---|---|---|---|",
    ]
    found = {(row["contender"], row.get("order"), row.get("workers")): row for row in result["rows"]}
    for name in result["how"]:
        cells = [_rate(found.get((name, order, workers))) for workers in (0, cores) for order in _BOTH]
        many = found.get((name, "random", cores), {})
        if not any(cells):
            missing = next((row["missing"] for row in result["rows"] if row["contender"] == name), "not measured")
            lines.append(f"| {name} | {missing} | | | | | |")
            continue
        more = f"{many.get('cpu_seconds_per_thousand', '')} | {many.get('peak_mib', '')}"
        lines.append(f"| {name} | {' | '.join(cells)} | {more} |")
    return "\n".join(lines) + "\n"


def _rate(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    return f"{row['images/s']:,}" if "images/s" in row else f"fails: {row['missing']}"
