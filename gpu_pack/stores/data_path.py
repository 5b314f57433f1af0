"""Where a file of a dataset lies: a `pathlib.Path`, or a `RemotePath` with the part of its methods that is needed.

Whoever reads a dataset takes a `DataPath`, so that folders and object stores are read by the same code.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Union

from gpu_pack.recordio.scanning import ReadAt, reader
from gpu_pack.stores.address import StoreOptions, is_address, parse_address
from gpu_pack.stores.atomic_file import write_atomically

if TYPE_CHECKING:
    from gpu_pack.stores.remote_path import RemotePath

#: A string, since importing it brings asyncio, which takes longer than a small file to read.
DataPath = Union[Path, "RemotePath"]
#: What a user may give for one.
PathLike = Union[str, os.PathLike[str], "RemotePath"]


def data_path(path: PathLike, options: StoreOptions | None = None) -> DataPath:
    """What a user named, by a path or an address.

    Raises:
        UsageError: a malformed address.
    """
    if not isinstance(path, (str, os.PathLike)):
        return path
    text = os.fspath(path)
    if not is_address(text):
        return Path(text)
    from gpu_pack.stores.remote_path import RemotePath

    return RemotePath(parse_address(text), options or StoreOptions())


@contextmanager
def read_places(path: DataPath, spans: Iterable[tuple[int, int]] = ()) -> Iterator[tuple[ReadAt, int]]:
    """``(read_at, size)`` of a file that is read here and there.

    Args:
        spans: offset and length of what will be read, in that order; an object store is asked for many at once.

    Raises:
        SourceError, OSError: it cannot be opened.
    """
    if isinstance(path, Path):
        with path.open("rb") as file:
            yield reader(file), file.seek(0, os.SEEK_END)
    else:
        with path.open_spans() as found:
            found.expect(spans)
            yield found.read_at, found.stat.size


def lexists(path: DataPath) -> bool:
    """Whether something has this name, a broken link too."""
    return os.path.lexists(path) if isinstance(path, Path) else path.exists()


def write_file(path: DataPath, data: bytes | Iterable[bytes]) -> None:
    """Create or replace a file in one step.

    Raises:
        OutputError: it cannot be written; the old bytes stay.
    """
    if isinstance(path, Path):
        write_atomically(path, data)
    else:
        path.write_bytes(data if isinstance(data, bytes) else b"".join(data))
