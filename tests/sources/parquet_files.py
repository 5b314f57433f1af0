"""Parquet files as Hugging Face writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = tuple[bytes | None, str | None, Any]


def write_parquet(path: Path, rows: Sequence[Row], names: Sequence[str] | None = None, **columns: Any) -> None:
    """Images with their own names and labels, in groups of four rows; ``columns`` are further ones."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = [{"bytes": data, "path": name} if data is not None else None for data, name, _ in rows]
    table = pa.table({"image": pa.array(images, kind), "label": [label for _, _, label in rows], **columns})
    if names is not None:
        features = {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=4)


def rows_of(folder: Path, names: Sequence[str] | None = None) -> list[Row]:
    """The images of a folder of class folders, in its order; labels are names, or places in ``names``."""
    files = sorted(folder.glob("*/*"))
    return [
        (file.read_bytes(), file.name, names.index(file.parent.name) if names else file.parent.name) for file in files
    ]
