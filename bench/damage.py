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
    """Exit; which damaged ones were packed, which left out and whether these are named; whole ones that are missing."""
    whole = source.count - len(damaged)
    there = len(packed - set(damaged))
    left = [key for key in damaged if key not in packed]
    words = _words(run, out)
    named = sum(damaged[key] in words for key in left)
    naming = "names none" if not named else "names each" if named == len(left) else f"names {named} of {len(left)}"
    if run.status is None:
        return f"hangs: ended after {run.seconds:.0f} s with {there} of {whole} whole pictures; {naming}"
    if run.status != 0:
        return f"stops, exit status {run.status}, with {there} of {whole} whole pictures; {naming}"
    packs = [f"packs the {' and the '.join(source.damaged[key] for key in damaged if key in packed)}"]
    leaves = [f"leaves out the {' and the '.join(source.damaged[key] for key in left)}; {naming}"]
    if len(left) == len(damaged):
        packs, leaves = [], [f"leaves out all three; {naming}"]
    lost = [f"loses {whole - there} whole pictures and exits with 0"] if there < whole else []
    return "; ".join([*packs, *(leaves if left else []), *lost])


def _words(run: Run, out: Path) -> str:
    """All that it printed or noted beside its output."""
    files = [path for path in out.rglob("*") if path.suffix in _NOTES and path.is_file()] if out.is_dir() else []
    small = [path for path in files if path.stat().st_size < 1 << 20]
    return "\n".join([run.log, *(_text(path) for path in small)])


def _text(path: Path) -> str:
    if path.suffix == ".parquet":
        try:
            import pyarrow.parquet as pq
        except ImportError:
            return ""
        return str(pq.read_table(path).to_pylist())
    return path.read_text(errors="replace")
