"""The same pictures packed by the GPU at full load and by the CPU: both files decoded, and compared picture by picture.

What JPEG engines do wrong shows under load only: pictures that they skipped, or that another batch overwrote.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from bench.gpu.create import create
from bench.gpu.measure import psnr
from bench.gpu.record import Figures
from bench.gpu.session import Session
from gpu_pack import recordio
from gpu_pack.types import available_cores

#: Below this many dB a picture is listed.
LEAST_DB = 30.0
_LOADS = (1.0, 0.75, 0.5, 0.0)


def under_load(session: Session) -> None:
    count = 40 if session.rehearsal else 20_000
    files = session.files()
    with tempfile.TemporaryDirectory() as scratch:
        by_cpu: dict[int, bytes] = {}

        def measure(load: float) -> Figures:
            if not by_cpu:
                create(session, "cpu", count, Path(scratch) / "cpu")
                by_cpu.update(read_records(Path(scratch) / "cpu"))
            out = Path(scratch) / f"load-{load}"
            report = create(session, "gpu", count, out, hw_decoder_load=load)
            return {**report, **compare(read_records(out), by_cpu, lambda key: _name(session, files, key), len(files))}

        for load in _LOADS[:1] if session.rehearsal else _LOADS:
            expected = session.expected(10 if session.rehearsal else 110)
            session.item(f"load={load:g}", expected, lambda load=load: measure(load))


def compare(ours: dict[int, bytes], theirs: dict[int, bytes], name: Callable[[int], str], photos: int) -> Figures:
    """PSNR of pictures with the same key; identical files count apart, since the CPU codec made both.

    Args:
        name: the path of a key's photograph.
        photos: keys that many apart are of the same photograph.
    """
    both = sorted(ours.keys() & theirs.keys())
    different = [key for key in both if ours[key] != theirs[key]]
    with ThreadPoolExecutor(available_cores()) as pool:
        values = dict(zip(different, pool.map(lambda key: psnr(ours[key], theirs[key]), different), strict=True))
    low = [{"key": key, "path": name(key), "dB": round(value, 2)} for key, value in values.items() if value < LEAST_DB]
    first: dict[int, bytes] = {}
    repeated: Any = sum(first.setdefault(key % photos, ours[key]) != ours[key] for key in both)
    return {
        "compared": len(different),
        "identical": len(both) - len(different),
        "in one file only": len(ours.keys() ^ theirs.keys()),
        "mean": round(float(np.mean([*values.values()])), 2) if values else None,
        "worst": round(min(values.values()), 2) if values else None,
        "repeats with other bytes": repeated,
        f"under {LEAST_DB:g} dB": low,
    }


def read_records(folder: Path) -> dict[int, bytes]:
    """The JPEGs of the folder's .rec file, by key."""
    (path,) = folder.glob("*.rec")
    found = {}
    with path.open("rb") as file:
        for record in recordio.scan(file, str(path)):
            header, data = recordio.unpack(record.payload)
            found[header.id] = data
    path.unlink()
    return found


def _name(session: Session, files: list[Path], key: int) -> str:
    return files[key % len(files)].relative_to(session.folder).as_posix()
