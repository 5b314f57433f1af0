"""The files of a folder of class folders, in containers of other kinds."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

_FILE_ROWS, _GROUP_ROWS = 1000, 100


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def write_nested_tar(root: Path, target: Path) -> None:
    """A tar of tars, one for each class."""
    with tarfile.open(target, "w") as tar:
        for folder in sorted(root.iterdir()):
            inner = target.with_name(f"{folder.name}.tar")
            with tarfile.open(inner, "w") as members:
                for path in sorted(folder.iterdir()):
                    members.add(path, path.name)
            tar.add(inner, inner.name)
            inner.unlink()


def write_zip(root: Path, target: Path) -> None:
    """Without compression: pictures are compressed already."""
    with zipfile.ZipFile(target, "w") as archive:
        for path in _files(root):
            archive.write(path, path.relative_to(root))


def write_parquet(root: Path, target: Path) -> None:
    """Columns image (bytes and path) and label, in files of 1,000 rows and row groups of 100."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    target.mkdir()
    files = _files(root)
    names = sorted({path.parent.name for path in files})
    for start in range(0, len(files), _FILE_ROWS):
        part = files[start : start + _FILE_ROWS]
        images = [{"bytes": path.read_bytes(), "path": path.name} for path in part]
        table = pa.table({"image": images, "label": [names.index(path.parent.name) for path in part]})
        pq.write_table(table, target / f"part-{start:06d}.parquet", row_group_size=_GROUP_ROWS)
