"""The counts that were recorded, by interpreter, as JSON and as a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from bench.costs.workloads import COUNT, PARTS

RESULTS = Path(__file__).parents[1] / "results"
#: A part may cost so much more than recorded: another order of the same work moves it by one or two percent.
LIMIT = 0.15

Counts = Mapping[str, int]


def read() -> dict[str, Counts]:
    """Instructions an image, by interpreter and part; none where nothing is recorded."""
    path = RESULTS / "costs.json"
    return dict(json.loads(path.read_text())["interpreters"]) if path.exists() else {}


def write(recorded: Mapping[str, Counts]) -> None:
    """Write costs.json and costs.md."""
    document = {"unit": "instructions an image", "images": COUNT, "interpreters": dict(sorted(recorded.items()))}
    (RESULTS / "costs.json").write_text(json.dumps(document, indent=1) + "\n")
    (RESULTS / "costs.md").write_text(table(recorded))


def table(recorded: Mapping[str, Counts]) -> str:
    """A Markdown table of each interpreter's counts."""
    lines = [
        "# Instructions an image",
        "",
        f"Counted by valgrind's callgrind (`python -m bench.costs --record`), {COUNT} images a part; "
        "tests/test_costs.py",
        f"fails where a part grows by more than {LIMIT:.0%}. What each part does is told in bench/costs/workloads.py.",
    ]
    for interpreter, counts in sorted(recorded.items()):
        lines += ["", f"## {interpreter}", "", "| part | what | instructions |", "|---|---|---|"]
        lines += [f"| {part} | {_what(part)} | {value:,} |" for part, value in counts.items()]
    return "\n".join(lines) + "\n"


def _what(part: str) -> str:
    return (PARTS[part].__doc__ or "").rstrip(".")


def grown(counted: Counts, recorded: Counts) -> dict[str, str]:
    """The parts that cost more than they may, with a sentence each; one that has no record may cost anything."""
    return {
        part: f"{part}: {value:,} instructions an image, {value / recorded[part] - 1:+.0%} against the recorded "
        f"{recorded[part]:,}; where that is wanted, python -m bench.costs --record"
        for part, value in counted.items()
        if recorded.get(part) and value > recorded[part] * (1 + LIMIT)
    }
