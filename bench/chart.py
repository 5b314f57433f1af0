"""Bars, as SVG, of what a run's JSON file holds; legible on light and on dark pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from bench.contenders import FLOORS

_WIDTH, _BAR, _LABELS, _FIGURES = 760, 20, 250, 150
_SHOWN = ("imagenet", "large", "tiny", "pass-through", "tar", "bucket", "listing")
_STYLE = """<style>
.page { fill: #ffffff } text { fill: #1f2328 } .ours { fill: #2f6f4f } .floor { fill: #8c959f } .other { fill: #c9803a }
@media (prefers-color-scheme: dark) {
.page { fill: #0d1117 } text { fill: #e6edf3 } .ours { fill: #3fb27f } .floor { fill: #6e7681 } .other { fill: #d29a5a }
}
</style>"""


def svg(results: Mapping[str, Any]) -> str:
    """A group of bars for each workload whose contenders take turns, the fastest first."""
    parts: list[str] = []
    y = 12
    for workload in results["workloads"]:
        rows = [row for row in workload["rows"] if "per_second" in row]
        if workload["name"] not in _SHOWN or not rows:
            continue
        parts.append(f'<text x="12" y="{y + 14}" font-weight="bold">{escape(workload["title"])}</text>')
        y += 24
        y = _bars(parts, y, sorted(rows, key=lambda row: -row["per_second"]["median"]), workload["things"]) + 12
    size = f'width="{_WIDTH}" height="{y}" viewBox="0 0 {_WIDTH} {y}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12" role="img">'
    return "\n".join([head, _STYLE, '<rect class="page" width="100%" height="100%" rx="6"/>', *parts, "</svg>\n"])


def _bars(parts: list[str], y: int, rows: Sequence[Mapping[str, Any]], things: str) -> int:
    most = max(row["per_second"]["median"] for row in rows)
    scale = (_WIDTH - _LABELS - _FIGURES) / most
    for row in rows:
        value = row["per_second"]["median"]
        width = max(1.0, value * scale)
        parts += (
            f'<text x="{_LABELS - 8}" y="{y + 13}" text-anchor="end">{escape(row["title"])}</text>',
            f'<rect class="{_kind(row)}" x="{_LABELS}" y="{y + 2}" width="{width:.1f}" height="{_BAR - 6}" rx="2"/>',
            f'<text x="{_LABELS + width + 6:.1f}" y="{y + 13}">{value:,.0f} {things}/s{_ratio(row)}</text>',
        )
        y += _BAR
    return y


def _kind(row: Mapping[str, Any]) -> str:
    name = row["contender"]
    return "ours" if name.startswith("gpu-pack") else "floor" if name.startswith(FLOORS) else "other"


def _ratio(row: Mapping[str, Any]) -> str:
    return f", x {row['ratio']['median']:.2f}" if row["ratio"] else ""
