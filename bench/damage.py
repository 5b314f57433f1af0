"""What a contender did about three damaged files, told in a line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.measure import Run
from bench.workloads.inputs import Source

#: Where tools write what went wrong.
_NOTES = (".json", ".jsonl", ".csv", ".txt", ".log", ".parquet")


def paths(source: Source) -> dict[int, Path]:
    """The file of each key."""
    rows = (line.split("\t") for line in source.listed.read_text().splitlines())
    return {int(key): source.root / path for key, _, path in rows}


def names(source: Source) -> dict[int, str]:
    """File names of the damaged ones."""
    found = paths(source)
    return {key: found[key].name for key in source.damaged}


def told(run: Run, source: Source, damaged: Mapping[int, str], packed: set[int], out: Path) -> str:
    """Exit, what was packed of the damaged ones, what is missing of the whole ones, and which were named."""
    whole = source.count - len(damaged)
    lost = whole - len(packed - set(damaged))
    named = sum(name in _words(run, out) for name in damaged.values())
    naming = {0: "names none", len(damaged): "names each"}.get(named, f"names {named} of {len(damaged)}")
    if run.status is None:
        return f"hangs: ended after {run.seconds:.0f} s with {whole - lost} of {whole} whole pictures; {naming}"
    if run.status != 0:
        return f"stops, exit status {run.status}, with {whole - lost} of {whole} whole pictures; {naming}"
    took = [what for key, what in source.damaged.items() if key in packed]
    parts = [f"packs the {' and the '.join(took)}" if took else "leaves out all three", naming]
    if lost:
        parts.append(f"loses {lost} whole pictures and exits with 0")
    return "; ".join(parts)


def _words(run: Run, out: Path) -> str:
    """All that it printed or noted beside its output."""
    files = [path for path in out.rglob("*") if path.suffix in _NOTES and path.is_file()] if out.is_dir() else []
    noted = b"\n".join(path.read_bytes() for path in files if path.stat().st_size < 1 << 20)
    return run.log + noted.decode("utf-8", "replace")
