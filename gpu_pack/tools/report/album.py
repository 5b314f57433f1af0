"""The pictures of a page: small, each with its facts, and bounded in bytes."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass

from gpu_pack.console import human_size
from gpu_pack.tools.report.samples import Sample
from gpu_pack.tools.report.sheet import class_of
from gpu_pack.tools.report.thumbnails import thumbnail
from gpu_pack.tools.report.words import shown

#: Pixels of a picture's longer edge.
EDGE = 112


@dataclass(frozen=True)
class Picture:
    """One picture of a page: a data URI, and what its dialog shows, by name."""

    source: str
    name: str
    facts: dict[str, str]


class Album:
    """Makes pictures until their bytes are used up.

    Args:
        most_bytes: of all data URIs and facts.
    """

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes

    def picture(self, sample: Sample | None, classes: Sequence[str]) -> Picture | None:
        """A record's picture; None if there is none, it cannot be decoded, or the bytes are used up."""
        if sample is None or (source := self.source(sample.data)) is None:
            return None
        size = f"{sample.width} × {sample.height}" if sample.width else "unknown size"
        facts = {
            "key": str(sample.key),
            "class": shown(class_of(sample.labels, classes)) if classes else "",
            "label": " ".join(f"{label:.9g}" for label in sample.labels[:20]),
            "path": shown(sample.path, 300) if sample.path is not None else "not in a list",
            "split": shown(sample.split),
            "file": shown(sample.file),
            "size": f"{size}, {human_size(len(sample.data))}, {sample.format or 'unknown format'}",
        }
        self._left -= sum(len(html.escape(value).encode()) for value in facts.values())
        return Picture(source, f"key {sample.key}, {shown(class_of(sample.labels, classes))}", facts)

    def source(self, data: bytes) -> str | None:
        """An encoded picture as a small data URI; None as for `picture`."""
        if self._left <= 0 or (small := thumbnail(data, EDGE)) is None:
            return None
        text = "data:image/jpeg;base64," + base64.b64encode(small).decode()
        self._left -= len(text)
        return text
