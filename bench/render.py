"""The tables, as Markdown, of what a run's JSON file holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
Column = tuple[str, Callable[[Row], str]]

_COLUMNS = """\
Whole processes in turn (A B A B), with their start: medians, and the least and the most in brackets. `x gpu-pack`: the
speed divided by that of the first row with gpu-pack in the same round. `after start`: without what each takes to start,
told by a short run and the long ones. `CPU s`: seconds of all cores for a thousand. `memory`: the most that all
processes had at once (PSS, sampled). `PSNR`: of 24 crops against the same crop scaled in floating point, by a Lanczos
filter (sharp) and by the triangular one (torchvision's with antialias, DALI's), mean and least. `bytes kept`: files of
the first run that came back as they were. JPEG quality 95; contenders that leave resizing to their users are given
OpenCV's INTER_LINEAR, as the bare loop is."""


def markdown(results: Mapping[str, Any]) -> str:
    """The page: what was measured where, what the columns mean, and a table for each workload."""
    parts = [_head(results), *(_workload(workload) for workload in results["workloads"])]
    if results.get("reading"):
        parts.append(results["reading"]["markdown"].strip())
    return "\n\n".join(parts) + "\n"


def _head(results: Mapping[str, Any]) -> str:
    machine = results["machine"]
    photos = results["photographs"]
    return f"""# gpu-pack beside other tools

{machine["cores"]} cores ({machine["processor"]}), {machine["memory_gb"]} GB of memory, {machine["system"]}, \
Python {machine["python"]}; gpu-pack {machine["commit"]}; {results["begun"]}. Made by `{results["command"]}` from \
{photos["files"]} photographs of {photos["mean_bytes"] / 1000:.0f} kB on average; input and output {machine["work"]}.

{_COLUMNS}"""


def _workload(workload: Mapping[str, Any]) -> str:
    if workload["way"] == "damage":
        columns: list[Column] = [("", _title), ("what it does", lambda row: row["told"])]
        return _table(workload["title"], columns, workload["rows"])
    things = workload["things"]
    rounds = f", {workload['rounds']} rounds" if workload["rounds"] and workload["rounds"] > 1 else ""
    count = f": {workload['count']:,} {things}{rounds}" if workload["count"] else ""
    columns = [
        ("", _title),
        ("seconds", lambda row: number(row["seconds"], 1) if workload["way"] == "growth" else ""),
        (f"{things}/s", lambda row: spread(row["per_second"], 0) + _fewer(row, workload["rounds"])),
        ("x gpu-pack", lambda row: spread(row["ratio"], 2) if row["ratio"] else ""),
        (f"{things}/s after start", lambda row: number(row.get("per_second_after_start"), 0)),
        ("CPU s", lambda row: number(row["cpu_seconds_per_thousand"], 2)),
        ("memory, MB", lambda row: number(row["peak_bytes"] and row["peak_bytes"] / 1e6, 0)),
        ("output, MB", lambda row: number(row["output_bytes"] / 1e6, 1)),
        ("PSNR to Lanczos, dB", lambda row: quality(row, "lanczos")),
        ("to triangular", lambda row: quality(row, "triangle")),
        ("bytes kept", _kept),
        ("lost in the first run", lambda row: str(row.get("lost", ""))),
    ]
    return _table(workload["title"] + count, columns, workload["rows"])


def _table(title: str, columns: Sequence[Column], rows: Sequence[Row]) -> str:
    shown = [(name, told) for name, told in columns if any("absent" not in row and told(row) for row in rows)]
    shown = shown if len(shown) > 1 else list(columns[:2])
    lines = [f"## {title}", "", "| " + " | ".join(name for name, _ in shown) + " |", "|---" * len(shown) + "|"]
    for row in rows:
        if "absent" in row:
            cells = [_title(row), cell(row["absent"]), *[""] * (len(shown) - 2)]
        else:
            cells = [cell(told(row)) for _, told in shown]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _title(row: Row) -> str:
    return str(row["title"])


def number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def spread(values: Mapping[str, float], digits: int) -> str:
    middle, least, most = (number(values[name], digits) for name in ("median", "least", "most"))
    return middle if least == most else f"{middle} ({least} to {most})"


def quality(row: Row, name: str) -> str:
    """Mean and least PSNR to the filter ``name``, in dB."""
    if name not in row.get("psnr", {}):
        return "of another size" if "psnr" in row else ""
    return "{:.1f} ({:.1f})".format(*row["psnr"][name])


def _fewer(row: Row, rounds: int | None) -> str:
    """A remark where it ran in fewer rounds than the others."""
    return f"; {row['runs']} of {rounds} rounds" if rounds and row["runs"] < rounds else ""


def _kept(row: Row) -> str:
    """Whether all files came back as they were."""
    if "files_kept" not in row:
        return ""
    return "yes" if row["files_kept"] == row["files"] else f"{row['files_kept']} of {row['files']}"
