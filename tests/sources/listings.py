"""Sources as listings, as `create` makes them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from gpu_pack.formats.classes import format_classes
from gpu_pack.sources.list_source import list_source
from gpu_pack.sources.listing import Listing
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.spool import Spool


def list_one(source: Path, classes: tuple[str, ...] | None = None, **options: Any) -> Listing:
    """One source, with the names of its classes in place of their file. Nothing can be spooled."""
    with tempfile.TemporaryDirectory() as folder:
        if classes is not None:
            options["classes"] = Path(folder) / "classes.txt"
            options["classes"].write_bytes(format_classes(classes))
        return list_source([str(source)], SourceOptions(**options), Spool(None))
