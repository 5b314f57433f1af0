"""Labels of a flat folder or archive, from a file beside it: a line for each image, or a table by file name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from gpu_pack.errors import SourceError, UsageError, told
from gpu_pack.formats.notices import Notice
from gpu_pack.sources import names
from gpu_pack.sources.class_names import natural_key
from gpu_pack.sources.found import Facts, Found, Label
from gpu_pack.sources.named_labels import NamedLabels, read_pairs, read_table
from gpu_pack.sources.open_source import OpenSource
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.table import open_table_file, text_lines
from gpu_pack.sources.table_cells import read_label
from gpu_pack.sources.table_columns import is_path_column
from gpu_pack.sources.tree import IMAGE_SUFFIXES, suffix
from gpu_pack.stores.store import Store

_TABLES = frozenset({"csv", "tsv", "jsonl", "ndjson", "parquet"})
#: Caffe's lines: a file name, blanks or a comma, and a label.
_PAIR = re.compile(rf"\s*(.+\.(?:{'|'.join(sorted(IMAGE_SUFFIXES))}))[\s,;]+(\S.*?)\s*", re.IGNORECASE)


def with_labels(opened: OpenSource, file: str, options: SourceOptions) -> OpenSource:
    """A source whose images get the labels of a file; it has none of its own.

    Args:
        opened: a flat folder or the like: all its images are of one class.
        file: text with a line for each image in sorted order, lines of name and label, or a table by file name: with
            the whole path, the file's name, or that without suffix.
        options: the table's columns, and how an address is reached.

    Raises:
        SourceError: the file cannot be read, or is for other images.
        UsageError: the source has labels of its own.
    """
    store, (path,) = names.place([file], options.store)
    images = _unlabelled(opened, file)
    kind = _kind(store, path)
    if kind == "lines":
        return opened._replace(images=_by_line(images, text_lines(store, path), file, opened.facts))
    if kind == "pairs":
        labels = read_pairs(file, text_lines(store, path), _PAIR)
    else:
        labels = read_table(file, open_table_file(store, path), options, opened.facts)
    return opened._replace(images=_by_name(images, labels, opened.facts))


def _kind(store: Store, path: str) -> str:
    """Whether a file is a table, pairs of names and labels, or lines of labels."""
    with store.open(path) as file:
        binary = file.read_at(0, 4) == b"PAR1"
    if binary or suffix(path) == "parquet":
        return "table"
    first = next((line for line in text_lines(store, path) if line.strip()), "")
    if _PAIR.fullmatch(first):
        return "pairs"
    header = any(is_path_column(field.strip(' "')) for field in re.split(r"[,\t;|]", first))
    return "table" if header or suffix(path) in _TABLES or first.lstrip().startswith("{") else "lines"


def _unlabelled(opened: OpenSource, file: str) -> Iterator[Found]:
    """The images of a source, as long as it has no labels of its own."""
    first: Label = ""
    for found in opened.images:
        first = first or found.label
        if opened.facts.class_names is not None or found.label != first or not isinstance(first, str):
            raise UsageError(
                f"{told('labels', file)}: {opened.facts.source} has labels of its own, and a file of labels is for a "
                "flat folder or archive of images: leave it out, or name the split that it is for (--labels NAME=FILE)"
            )
        yield found


def _by_line(images: Iterator[Found], text: Iterator[str], file: str, facts: Facts) -> Iterator[Found]:
    """A line for each image."""
    lines = ((number, line.strip()) for number, line in enumerate(text, 1) if line.strip())
    count, before = 0, ""
    out_of_order: list[str] = []
    for found in images:
        number, line = next(lines, (0, ""))
        if not number:
            _refuse_counts(file, count, count + 1 + sum(1 for _ in images), facts)
        count += 1
        name = found.path.rpartition("/")[2]
        if before and natural_key(before) > natural_key(name):
            out_of_order.append(f"{before} before {name}")
        before = name
        try:
            label = read_label(line)
        except ValueError as error:
            raise SourceError(f"{file}:{number}: {error}") from None
        yield _labelled(found, label, f"{file}:{number} has no label for it")
    if rest := sum(1 for _ in lines):
        _refuse_counts(file, count + rest, count, facts)
    if out_of_order:
        facts.notices.append(Notice("label-order", len(out_of_order), out_of_order[0]))


def _refuse_counts(file: str, lines: int, images: int, facts: Facts) -> None:
    raise SourceError(
        f"{file}: labels for {lines:,} images, a line each, and {facts.source} has {images:,}: it needs one for each, "
        "in the sorted order of their names, or a table by file name"
    )


def _by_name(images: Iterator[Found], labels: NamedLabels, facts: Facts) -> Iterator[Found]:
    """The label of an image's name; one without is a reject."""
    first = next(images, None)
    for found in chain([first] if first is not None else [], images):
        yield _labelled(found, labels.find(found.path), f"no label for it in {labels.file}")
    if first is not None and not labels.used:
        raise SourceError(
            f"{labels.file}: it names none of the images of {facts.source}, such as {first.path!r}; it names "
            f"{labels.unused_example()!r}"
        )
    if unused := len(labels) - len(labels.used):
        facts.notices.append(Notice("labels-unused", unused, labels.unused_example()))


def _labelled(found: Found, label: Label | None, reason: str) -> Found:
    if label is None:
        return found._replace(label=(), refused=found.refused or (reason, "no-label"))
    return found._replace(label=label)
