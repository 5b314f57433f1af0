"""The whole comparison: sets, environments, turns, rows."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench import machine
from bench.environments import environment, shortened
from bench.readers.contenders import READERS, Reader
from bench.readers.crops import Crops
from bench.readers.make_crops import make_crops
from bench.readers.turns import Child, FailedError, Setting, command, in_turns, last_line, say, variables

#: Crops of a pass: 64 batches.
COUNT = 4096


def run(
    photos: Path, work: Path, envs: Path, budget_seconds: float, *, only: Iterable[str] = (), count: int = COUNT
) -> dict[str, Any]:
    """Measure, in about ``budget_seconds`` after all is installed.

    Args:
        photos: a folder of JPEGs, at any depth.
        work: what is written and read is made anew in it.
        envs: keeps the environments.
        only: names of contenders; all of them by default.
        count: crops of the set, a multiple of 64.

    Returns:
        ``rows``: of each contender, order and number of workers, the median of its passes as ``images/s``, its
        ``least`` and ``most``, ``of_bare`` (to the bare decoder's in the same round), ``cpu_seconds_per_thousand``,
        ``peak_mib``; or ``missing``, the reason why there is none. Beside them the machine and the set.
    """
    chosen = [each for each in READERS if not only or each.name in {"bare decoder", *only}]
    pythons, rows = _installed(chosen, envs)
    begun = time.monotonic()
    sets = work / "sets"
    shutil.rmtree(sets, ignore_errors=True)
    make_crops(photos, sets / "crops", count)
    written = [each for each in chosen if each.name in pythons and not _write(each, pythons[each.name], sets, rows)]
    cores = len(machine.available_cores())
    children = {
        (each.name, workers): Child(
            pythons[each.name], each.module, sets / "crops", sets / each.module, workers,
            sets / f"{each.module}-{workers}.log",
        )
        for each in written for workers in (0, cores)
    }  # fmt: skip
    passes: dict[Setting, list[dict[str, Any]]] = defaultdict(list)
    labels = Crops(sets / "crops").labels()
    try:
        for setting, found in in_turns(children, begun + budget_seconds, say):
            wrong = str(found) if isinstance(found, FailedError) else _wrong(found, count, labels)
            if wrong:
                rows.append({**setting._asdict(), "missing": wrong})
            else:
                passes[setting].append(found)
    finally:
        for child in children.values():
            child.end()
    rows = [*_rows(passes, count), *rows]
    return {
        "crops": count, "bytes": (sets / "crops/train.rec").stat().st_size, "cores": cores,
        "cpu": machine.processor(), "python": platform.python_version(), "load": os.getloadavg()[1],
        "how": {each.name: each.how for each in chosen}, "rows": rows,
    }  # fmt: skip


def _installed(chosen: list[Reader], folder: Path) -> tuple[dict[str, Path], list[dict[str, Any]]]:
    pythons: dict[str, Path] = {}
    rows: list[dict[str, Any]] = []
    for each in chosen:
        found = environment(each.environment, folder, say=say)
        if found.python is None:
            rows.append({"contender": each.name, "missing": f"not installed: {found.reason}"})
        else:
            pythons[each.name] = Path(found.python)
    return pythons, rows


def _write(each: Reader, python: Path, sets: Path, rows: list[dict[str, Any]]) -> bool:
    """Whether it failed; then there is a row that says so."""
    folder, log = sets / each.module, sets / f"{each.module}-write.log"
    folder.mkdir()
    with log.open("w") as output:
        done = subprocess.run(
            command(python, each.module, "write", sets / "crops", folder), stdout=output, stderr=output,
            env=variables(2), cwd=folder,
        )  # fmt: skip
    if done.returncode:
        rows.append({"contender": each.name, "missing": f"it does not write: {shortened(last_line(log))}"})
    return bool(done.returncode)


def _wrong(found: dict[str, Any], count: int, labels: int) -> str:
    if found["images"] != count:
        return f"{found['images']} images came, not {count}"
    return "" if found["labels"] in (labels, -1) else "some images came twice, others not at all"


def _rows(passes: dict[Setting, list[dict[str, Any]]], count: int) -> list[dict[str, Any]]:
    rows = []
    for setting, found in passes.items():
        rates = [count / each["seconds"] for each in found]
        bare = passes[setting._replace(contender="bare decoder")]
        rows.append({
            **setting._asdict(), "passes": len(found), "images/s": round(statistics.median(rates)),
            "least": round(min(rates)), "most": round(max(rates)),
            "of_bare": _ratio(bare, found, "seconds"), "of_bare_by_cpu": _ratio(bare, found, "cpu"),
            "cpu_seconds_per_thousand": round(statistics.median(each["cpu"] for each in found) / count * 1000, 3),
            "peak_mib": round(max(each["peak_mib"] for each in found)),
        })  # fmt: skip
    return rows


def _ratio(bare: list[dict[str, Any]], found: list[dict[str, Any]], name: str) -> float | None:
    """The median of the passes in their order, each divided by the bare decoder's: 1 is as fast as it."""
    if not bare:
        return None
    return round(statistics.median(one[name] / other[name] for one, other in zip(bare, found, strict=False)), 3)
