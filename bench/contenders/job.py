"""What a contender is to do, as the one JSON argument of its process. For all environments: standard library only.

``do`` is ``pack``: put the pictures of ``listed`` into ``out`` (a folder that does not exist yet); or ``read``: hand
back what lies in ``out`` as files ``KEY.jpg`` (``KEY.png`` where these are pixels) under ``crops``; or ``install``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Item:
    """A line of the list."""

    key: int
    label: int
    path: str


@dataclass(frozen=True)
class Job:
    """Attributes: ``listed`` has lines ``key, label, path`` with tabs between them; ``size``: the crop's edge."""

    do: str
    out: str
    listed: str = ""
    root: str = ""
    cores: int = 1
    size: int = 224
    quality: int = 95
    pass_through: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    source: dict[str, str] = field(default_factory=dict)
    crops: str = ""

    def items(self) -> list[Item]:
        with open(self.listed, encoding="utf-8") as file:
            rows = (line.rstrip("\n").split("\t") for line in file)
            return [Item(int(key), int(float(label)), f"{self.root}/{path}") for key, label, path in rows]

    def parts(self) -> list[list[Item]]:
        """The items in one run of neighbours for each core."""
        items = self.items()
        size = -(-len(items) // self.cores)
        return [items[start : start + size] for start in range(0, len(items), size)]


Read = Callable[[Job], Iterator[tuple[int, bytes]]]


def run(pack: Callable[[Job], None], read: Read, install: Callable[[Job], None] | None = None) -> None:
    """Do what the argument says."""
    job = Job(**json.loads(sys.argv[1]))
    if job.do == "pack":
        pack(job)
    elif job.do == "install":
        if install:
            install(job)
    else:
        for key, data in read(job):
            kind = "png" if data.startswith(b"\x89PNG") else "jpg"
            Path(job.crops, f"{key}.{kind}").write_bytes(data)
