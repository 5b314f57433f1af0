"""What MXNet 1.9.1's im2rec.py wrote (see goldens/make.py), and how the tests run ours."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from gpu_pack import im2rec
from gpu_pack.recordio import read_index, scan, unpack

HERE = Path(__file__).parent / "goldens"
IMAGES = HERE / "images"
GOLDENS: dict[str, Any] = json.loads((HERE / "goldens.json").read_text(encoding="utf-8"))


def run(*arguments: object) -> int:
    """The exit status of ``gpu-pack im2rec``."""
    return im2rec.main([str(argument) for argument in arguments])


def write_list(path: Path, rows: list[tuple[object, ...]]) -> None:
    """A .lst file, a row a line."""
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows), encoding="utf-8", newline="\n")


def outputs(folder: Path) -> dict[str, object]:
    """A folder's files as the goldens have them: records as size and sha256, everything else as text."""
    found: dict[str, object] = {}
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        data = path.read_bytes()
        sums = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        found[path.name] = sums if path.suffix == ".rec" else data.decode()
    return found


def records(stem: Path) -> list[tuple[int, bytes]]:
    """``(key, image bytes)`` of each record, in the file's order, which the index must share."""
    with stem.with_suffix(".rec").open("rb") as file:
        found = [(record.offset, *unpack(record.payload)) for record in scan(file)]
    index = [(key, offset) for key, offset in read_index(stem.with_suffix(".idx"))]
    assert index == [(header.id, offset) for offset, header, _ in found]
    return [(header.id, data) for _, header, data in found]


def make_root(folder: Path, names: list[str]) -> Path:
    """A folder of real pictures under the names given."""
    pictures = sorted((IMAGES / "a").glob("*.jpg"))
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(pictures[number % len(pictures)], folder / name)
    return folder
