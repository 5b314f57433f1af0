"""The images inside of Parquet files, as Hugging Face publishes datasets: spooled once, in the files' order."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from gpu_pack.errors import SourceError, UsageError, told
from gpu_pack.formats import lst
from gpu_pack.formats.notices import Notice
from gpu_pack.sources.found import Facts, Found, Label
from gpu_pack.sources.open_source import OpenSource, SourceFiles
from gpu_pack.sources.parquet_file import ParquetTable, images_of
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.splits import split_name_fault
from gpu_pack.sources.spool import Spool, SpoolFile, as_container
from gpu_pack.sources.table import sample
from gpu_pack.sources.table_cells import RowLabels, read_split
from gpu_pack.sources.table_columns import Columns, find_labels, find_split
from gpu_pack.stores.store import Stat, Store
from gpu_pack.types import Place

#: Rows in memory at once, for 12-megapixel images some 200 MB.
_BATCH_ROWS = 32
#: Splits as they are usually called, in their order.
_KNOWN = ("train", "validation", "valid", "val", "dev", "test")
#: Hugging Face's label of images that have none.
_NONE = (-1.0,)
_SHARD = re.compile(r"(.+?)-\d+-of-\d+(?:-[0-9a-f]+)?")
_NUMBERED = re.compile(rf"({'|'.join(_KNOWN)})(?:[-_.]?\d+)?")


class _Rows(NamedTuple):
    """What one file holds: a column each; an offset of -1 where a row has no image."""

    labels: list[Label | None]
    splits: list[str | None]
    names: list[str]
    offsets: array[int]
    lengths: array[int]


def is_image_parquet(store: Store, path: str, options: SourceOptions) -> bool:
    """Whether a Parquet file holds images, and not the paths of some.

    Raises:
        SourceError: it cannot be read.
    """
    table = ParquetTable(store, path)
    return options.image_key is not None or bool(table.images)


def open_parquet(
    files: SourceFiles, options: SourceOptions, classes: tuple[str, ...] | None, spool: Spool
) -> OpenSource:
    """The images of Parquet files that make one set, in their order.

    Args:
        files: of the same columns.
        options: columns.
        classes: names by label, which the listing checks.
        spool: receives the images, but in a dry run.

    Raises:
        SourceError: a file cannot be read, or has other columns than the first one.
        UsageError: a column that is told is not there.
        OutputError: there is no room for the images.
    """
    tables = [ParquetTable(files.store, path) for path in files.paths]
    columns = _columns(tables[0], options)
    for table in tables[1:]:
        _check_same(tables[0], table, columns)
    # Where files have other names for their numbers, images are of classes by name.
    lists = {_class_names(table, columns) for table in tables}
    names = lists.pop() if len(lists) == 1 else None
    splits = split_names(files.paths) if options.split_column is None and columns.split is None else {}
    facts = Facts(files.source, numbered=names, splits=_in_order(splits.values()))
    told_ = [f"image={columns.path}", str(columns).partition(", ")[2]]
    told_ += [f"splits by the files' names: {', '.join(facts.splits)}"] if splits else []
    facts.notices.append(Notice("table-columns", 1, ", ".join(told_)))
    spool.reserve(sum(table.image_bytes[columns.path] for table in tables), files.source)

    labels = RowLabels(columns.labels)

    def images() -> Iterator[Found]:
        for table, path in zip(tables, files.paths, strict=True):
            yield from _find(table, files.store, path, columns, labels, splits.get(path), facts, spool)

    return OpenSource(files.store, images(), facts)


def split_names(paths: Sequence[str]) -> dict[str, str]:
    """The splits by the files' names, such as ``train-00000-of-00002.parquet``; none where they tell no several."""
    found = {}
    for path in paths:
        stem = path.rpartition("/")[2].rpartition(".")[0]
        matched = _SHARD.fullmatch(stem) or _NUMBERED.fullmatch(stem)
        if matched is None or split_name_fault(matched[1]):
            return {}
        found[path] = matched[1]
    several = set(found.values())
    return found if len(several) > 1 and several & set(_KNOWN) else {}


def _in_order(splits: Any) -> list[str]:
    names = set(splits)
    return [name for name in _KNOWN if name in names] + sorted(names - set(_KNOWN))


def _columns(table: ParquetTable, options: SourceOptions) -> Columns:
    image = options.image_key
    if image is not None and image not in table.images:
        raise UsageError(
            f"{told('image_key', image)}: {table.name} has no such column of images; "
            + (f"it has {', '.join(map(repr, table.images))}" if table.images else "none of its columns holds bytes")
        )
    if image is None and len(table.images) != 1:
        which = ", ".join(map(repr, table.images))
        raise SourceError(
            f"{table.name}: {which} may each be the column of images: name it, image_key (--image-key)"
            if table.images
            else f"{table.name}: none of its columns holds images; a table of their paths is read with "
            "source_format='table' (--source-format table)"
        )
    rows = sample(table)
    split = find_split(table, options, rows)
    named = [name for name in table.class_names if name != split]
    labels = tuple(named) if len(named) == 1 and not options.label_column else ()
    return Columns(image or table.images[0], labels or find_labels(table, options, rows, {split}), split, guessed=True)


def _check_same(first: ParquetTable, table: ParquetTable, columns: Columns) -> None:
    for name in columns.all:
        if name not in (table.images if name == columns.path else table.columns):
            raise SourceError(f"{table.name}: it has no column {name!r}, and {first.name} has: leave it out")


def _find(
    table: ParquetTable,
    store: Store,
    path: str,
    columns: Columns,
    labels: RowLabels,
    split: str | None,
    facts: Facts,
    spool: Spool,
) -> Iterator[Found]:
    """The images of one file."""
    names = _class_names(table, columns)
    with store.open(path) as file:
        version = file.stat.version
    container = None
    if spool.dry:
        rows = _read(table, columns, labels, None)
    else:
        with spool.create(path) as spooled:
            rows = _read(table, columns, labels, spooled)
        container = as_container(spooled.path)
    for number, label in enumerate(rows.labels):
        where = f"{path}!/{number}"
        own = rows.names[number].replace("\\", "/").rpartition("/")[2]
        inside = f"{where}/{own}" if own not in ("", ".", "..") and not lst.unlistable_reason(own) else where
        length, offset = rows.lengths[number], rows.offsets[number]
        stat = Stat(length, version)
        place = Place(container, offset, length) if container is not None and offset >= 0 else None
        own_split = rows.splits[number] or split
        if own_split is not None and own_split not in facts.splits:
            facts.splits.append(own_split)
        refused = _refused(table.where(number), label, names, offset)
        if label is None or (refused is not None and refused[1] == "no-label"):
            label = ()
        elif names is not None and facts.numbered is None and isinstance(label, tuple):
            label = names[int(label[0])]
        yield Found(inside, stat, label, place, own_split, refused=refused)


def _class_names(table: ParquetTable, columns: Columns) -> tuple[str, ...] | None:
    """The names of the numbers that are labels.

    Raises:
        SourceError: two numbers have the same name.
    """
    names = table.class_names.get(columns.labels[0]) if len(columns.labels) == 1 else None
    first: dict[str, int] = {}
    for number, name in enumerate(names or ()):
        if first.setdefault(name, number) != number:
            raise SourceError(
                f"{table.name}: in its schema, numbers {first[name]} and {number} of column {columns.labels[0]!r} have "
                f"the same name, {name[:40]!r}: rename one"
            )
    return names


def _refused(where: str, label: Label | None, names: tuple[str, ...] | None, offset: int) -> tuple[str, str] | None:
    """The reason and the code of a reject."""
    if label is None:
        return f"{where} has no label for it", "no-label"
    if names is not None and isinstance(label, tuple):
        if label == _NONE:
            return f"{where} has label -1, which stands for none", "no-label"
        if not label[0].is_integer() or not 0 <= label[0] < len(names):
            raise SourceError(f"{where}: label {label[0]:.9g} is none of the {len(names)} names in its schema")
    return (f"{where} holds no image", "missing") if offset < 0 else None


def _read(table: ParquetTable, columns: Columns, labels: RowLabels, spooled: SpoolFile | None) -> _Rows:
    """All rows of a file; the images are appended to the spool, or left unread without one."""
    rows = _Rows([], [], [], array("q"), array("q"))
    named = columns.path in table.named_images
    image = columns.path if spooled is not None else f"{columns.path}.path" if named else None
    others = [*([columns.split] if columns.split is not None else []), *columns.labels]
    for batch in table.batches([*([image] if image is not None else []), *others], _BATCH_ROWS):
        cells = [batch.column(name).to_pylist() for name in others]
        images = images_of(batch, columns.path) if image is not None else iter([(None, "")] * len(batch))
        for (data, name), row in zip(images, zip(*cells, strict=True), strict=True):
            where = table.where(len(rows.labels))
            if columns.split is not None:
                rows.splits.append(read_split(row[0], columns.split, where))
            else:
                rows.splits.append(None)
            rows.labels.append(labels.read(row[-len(columns.labels) :], where))
            rows.names.append(name)
            rows.lengths.append(len(data) if data is not None else -1)
            # In a dry run nobody reads it, and every row counts.
            rows.offsets.append(0 if spooled is None else -1 if data is None else spooled.append(memoryview(data)))
    return rows
