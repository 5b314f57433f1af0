"""What `inspect` does besides: a contact sheet, and one record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gpu_pack import console
from gpu_pack.cli import render_findings


def draw(path: str, file: Path, store: dict[str, Any], json_: bool, quiet: bool) -> int:
    """`inspect --sheet`; returns the exit status."""
    from gpu_pack.tools.report.sheet import draw_sheet

    drawn = draw_sheet(path, file, **store)
    if json_:
        print(json.dumps(drawn.to_json(), indent=1))
    elif not quiet:
        console.say(f"{drawn.file}: {drawn.pictures:,} pictures, {drawn.width} x {drawn.height}")
    return 0


def show_record(path: str, key: int, store: dict[str, Any], json_: bool) -> int:
    """`inspect --record`; returns the exit status."""
    from gpu_pack.tools.report.record import find_record

    found = find_record(path, key, **store)
    if json_:
        print(json.dumps([each.to_json() for each in found], indent=1))
    else:
        render_findings.print_records(found)
    return 0
