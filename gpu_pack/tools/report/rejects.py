"""What a page shows of rejects.jsonl: groups by code, the most frequent first, with some of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpu_pack.formats.bounded_json import bounded_json
from gpu_pack.formats.rejects import NAME
from gpu_pack.stores.data_path import DataPath
from gpu_pack.tools.faults import Faults
from gpu_pack.tools.report.album import EDGE, Album
from gpu_pack.tools.report.words import shown
from gpu_pack.tools.text_lines import parsed_lines
from gpu_pack.types import REJECT_CODES

#: Rejects of a group that are shown, and bytes of a file that a picture is made of.
_EACH, _MAX_BYTES = 12, 64 << 20


@dataclass(frozen=True)
class Example:
    """One reject; ``source`` is its picture as a data URI, or None."""

    path: str
    reason: str
    source: str | None


@dataclass
class RejectGroup:
    """The rejects of one code, and what the code means."""

    code: str
    meaning: str
    count: int = 0
    examples: list[Example] = field(default_factory=list)


def reject_groups(folder: DataPath, root: Path | None, album: Album) -> list[RejectGroup]:
    """The groups of a dataset's rejects.

    Args:
        root: the folder of the rejected files, for their pictures; nothing outside of it is read.
    """
    path = folder / NAME
    groups: dict[str, RejectGroup] = {}
    if not path.is_file():
        return []
    with Faults().collect(path):
        for _, value in parsed_lines(path, lambda line, _: _reject(line), Faults()):
            code = str(value.get("code"))
            code = code if code in REJECT_CODES else "unknown"
            group = groups.setdefault(code, RejectGroup(code, REJECT_CODES.get(code, "of an earlier version")))
            group.count += 1
            if len(group.examples) < _EACH:
                name = str(value.get("path"))
                source = _source(root, name, album) if root is not None else None
                group.examples.append(Example(shown(name, 300), shown(value.get("reason"), 300), source))
    return sorted(groups.values(), key=lambda group: -group.count)


def _reject(line: bytes) -> dict[str, Any]:
    try:
        value = bounded_json(line)
    except RecursionError:
        value = None
    if not isinstance(value, dict):
        raise ValueError("the line is not a JSON object")
    return value


def _source(root: Path, name: str, album: Album) -> str | None:
    """A rejected file's picture, as far as it can be decoded, and only below ``root``."""
    import cv2
    import simplejpeg

    try:
        inside, path = root.resolve(), (root / name).resolve()
        if inside not in path.parents or not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return None
        data = path.read_bytes()
    except (OSError, ValueError):
        return None
    if (source := album.source(data)) is not None:
        return source
    try:  # libjpeg decodes what is there of a damaged file
        pixels = simplejpeg.decode_jpeg(data, "BGR", min_height=EDGE, min_width=EDGE, strict=False)
    except ValueError:
        return None
    return album.source(cv2.imencode(".png", pixels)[1].tobytes())
