"""Parquet files, read by pyarrow, which is imported only here."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from typing import Any

from gpu_pack.errors import SourceError
from gpu_pack.sources.table import Row, full_name
from gpu_pack.stores.file_reader import FileReader
from gpu_pack.stores.store import Store

#: Columns of images, among those of bytes.
_USUAL = ("image", "img", "picture", "photo", "jpg", "png", "image_bytes", "bytes")
_BATCH_ROWS = 4096


class ParquetTable:
    """A `gpu_pack.sources.table.Table` of Parquet; a row is known by its number from 0.

    Attributes:
        columns: those of text, numbers or lists.
        images: those that hold images; ``named_images``: those of them that hold the images' own names too.
        image_bytes: how many bytes those columns take, uncompressed.
        class_names: of columns whose numbers have names, as Hugging Face's ClassLabel.

    Raises:
        SourceError: pyarrow is missing, or the file cannot be read.
    """

    def __init__(self, store: Store, path: str) -> None:
        self.name = full_name(store, path)
        self._store, self._path = store, path
        with self.reading() as file:
            schema = file.schema_arrow
            features = _features(schema.metadata or {})
            self.columns = [field.name for field in schema if not _is_bytes(field.type) and not _is_struct(field.type)]
            self.images = _image_columns(schema, features)
            self.named_images = [
                field.name for field in schema if field.name in self.images and "path" in _parts(field.type)
            ]
            self.image_bytes = {name: _uncompressed(file.metadata, name) for name in self.images}
        self.class_names = {name: found for name in self.columns if (found := _names(features.get(name)))}

    def where(self, number: int) -> str:
        """See `Table.where`."""
        return f"{self.name}, row {number}"

    def rows(self, columns: Sequence[str]) -> Generator[Row, None, None]:
        """See `Table.rows`."""
        number = 0
        for batch in self.batches(columns, _BATCH_ROWS):
            for cells in zip(*(batch.column(name).to_pylist() for name in columns), strict=True):
                yield number, cells
                number += 1

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[Any]:
        """The columns as pyarrow's RecordBatches of some rows; one row group's data is in memory at a time.

        Raises:
            SourceError: the file is damaged.
        """
        with self.reading() as file:
            yield from file.iter_batches(batch_size=rows, columns=list(columns), use_threads=False)

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """The file as a pyarrow ParquetFile.

        Raises:
            SourceError: pyarrow is missing, or the file cannot be read.
        """
        pyarrow, parquet = _pyarrow(self.name)
        try:
            with FileReader(self._store.open(self._path)) as reader:
                yield parquet.ParquetFile(reader)
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise SourceError(f"{self.name}: no Parquet that can be read, or damaged: {said}") from error


def images_of(batch: Any, column: str) -> Iterator[tuple[Any, str]]:
    """The images of a batch as buffers, None where a row has none or where they were not read; and their own names."""
    found = batch.column(column)
    parts = {"bytes": found}
    if _parts(found.type):
        parts = dict(zip([field.name for field in found.type], found.flatten(), strict=True))
    buffers = (data.as_buffer() for data in parts["bytes"]) if "bytes" in parts else repeat(None, len(batch))
    names = parts["path"].to_pylist() if "path" in parts else repeat("", len(batch))
    for buffer, name in zip(buffers, names, strict=True):
        yield buffer, name if isinstance(name, str) else ""


def _pyarrow(name: str) -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise SourceError(
            f"{name}: Parquet is read by pyarrow, which is missing ({error}): pip install 'gpu-pack[parquet]'"
        ) from error
    return pyarrow, pyarrow.parquet


def _is_struct(kind: Any) -> bool:
    return str(kind).startswith(("struct<", "map<", "extension<"))


def _is_bytes(kind: Any) -> bool:
    return str(kind).startswith(("binary", "large_binary", "fixed_size_binary"))


def _parts(kind: Any) -> dict[str, Any]:
    """The types of a struct's fields; none of any other type."""
    return {each.name: each.type for each in kind} if str(kind).startswith("struct<") else {}


def _uncompressed(metadata: Any, column: str) -> int:
    """The bytes of a column, uncompressed, as the file's metadata has them."""
    total = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        chunks = (group.column(place) for place in range(group.num_columns))
        total += sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema.split(".")[0] == column)
    return total


def _image_columns(schema: Any, features: dict[str, Any]) -> list[str]:
    """Structs with bytes, columns that Hugging Face calls images, and columns of bytes with a usual name, if any."""
    found = []
    for field in schema:
        inner = _parts(field.type)
        kind = features.get(field.name)
        audio = isinstance(kind, dict) and kind.get("_type") not in (None, "Image")
        usual = field.name.lower() in _USUAL or (isinstance(kind, dict) and kind.get("_type") == "Image")
        if ("bytes" in inner and _is_bytes(inner["bytes"]) and not audio) or (_is_bytes(field.type) and usual):
            found.append(field.name)
    return found


def _features(metadata: dict[bytes, bytes]) -> dict[str, Any]:
    """What Hugging Face tells of the columns; nothing where it tells nothing that can be read."""
    try:
        found = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _names(feature: Any) -> tuple[str, ...]:
    names = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return ()
    return tuple(names)
