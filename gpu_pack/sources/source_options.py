"""How sources are read: which kind each is, how it is laid out or written, and where labels come from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from gpu_pack.errors import UsageError, told
from gpu_pack.stores.address import StoreOptions, is_address

#: What a source is; ``auto`` decides by its contents and name.
SourceFormat = Literal["auto", "folder", "list", "tar", "webdataset", "zip", "parquet", "table", "rec"]
#: ``auto`` recognises splits by the folders' names; ``splits`` takes any names; ``classes`` has no splits.
Layout = Literal["auto", "classes", "splits"]
#: Labels by the sorted names of the classes, or with whole numbers in them by their values.
ClassOrder = Literal["name", "natural"]
#: ``key, label..., path`` with tabs or blanks, or with commas, or InsightFace's ``aligned, path, label``.
ListFormat = Literal["auto", "mxnet", "csv", "aligned"]

_CHOICES = {
    "source_format": get_args(SourceFormat),
    "layout": get_args(Layout),
    "class_order": get_args(ClassOrder),
    "list_format": get_args(ListFormat),
}
_TREES = ("folder", "tar", "zip")
#: The kinds of source that an option is about; the others are about all kinds.
_ABOUT: dict[str, tuple[str, ...]] = {
    "root": ("list", "table"),
    "allow_outside": ("list", "table"),
    "list_format": ("list",),
    "layout": _TREES,
    "class_order": (*_TREES, "webdataset", "parquet", "table", "given"),
    "image_key": ("webdataset", "parquet"),
    "label_key": ("webdataset",),
    "path_column": ("table",),
    "label_column": ("table", "parquet"),
    "split_column": ("table", "parquet"),
    "rekey": ("rec",),
}
#: As ``split_column``: no column.
NO_COLUMN = "none"
#: Options that are also about the tables that ``labels`` names.
_OF_LABEL_FILES = ("path_column", "label_column")


@dataclass(frozen=True)
class SourceOptions:
    """What may be said of the sources.

    Attributes:
        source_format: what they are; ``auto``: their contents and names decide.
        root: of the paths in a list or table; None for its own folder.
        allow_outside: let a list or table name files outside of ``root``.
        classes: a classes.txt with the names by label; without it, classes are numbered by ``class_order``.
        layout: of a folder or archive: whether its top-level folders are classes, or splits with classes in them.
        class_order: of names that become labels.
        list_format: how a .lst is written.
        image_key, label_key: of WebDataset samples: the suffix of the image, and that of the label, or ``json.FIELD``;
            ``image_key`` is also the image column of Parquet files. None: guessed.
        path_column, label_column, split_column: of a table; several label columns make a label vector. None: guessed.
            ``none`` as ``split_column``: there is none, whatever columns and files are called.
        labels: files with labels, by split, or by None for all: a line an image in sorted order, or a table by file
            name, whose columns are guessed or told as those of a table.
        class_names: a file with the names of numbers that are labels; see
            `gpu_pack.formats.class_numbers.read_class_numbers`.
        rekey: number the images of a .rec anew.
        store: how addresses are reached.

    Raises:
        UsageError: a value that there is not.
    """

    source_format: SourceFormat = "auto"
    root: str | None = None
    allow_outside: bool = False
    classes: Path | None = None
    layout: Layout = "auto"
    class_order: ClassOrder = "name"
    list_format: ListFormat = "auto"
    image_key: str | None = None
    label_key: str | None = None
    path_column: str | None = None
    label_column: tuple[str, ...] = ()
    split_column: str | None = None
    labels: tuple[tuple[str | None, str], ...] = ()
    class_names: Path | None = None
    rekey: bool = False
    store: StoreOptions = field(default_factory=StoreOptions)

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if (value := getattr(self, name)) not in allowed:
                raise UsageError(f"{name}={value!r} (--{name.replace('_', '-')}): choose {' or '.join(allowed)}")
        for name in ("classes", "class_names"):
            if (value := getattr(self, name)) is not None:
                if is_address(os.fspath(value)):  # a Path has one slash of the two
                    raise UsageError(
                        f"{name} (--{name.replace('_', '-')}) is read from this machine: copy the file here"
                    )
                object.__setattr__(self, name, Path(value))
        if self.root is not None:
            object.__setattr__(self, "root", os.fspath(self.root))
        for name in ("allow_outside", "rekey"):
            if type(value := getattr(self, name)) is not bool:
                raise UsageError(f"{name}={value!r} (--{name.replace('_', '-')}): it takes True or False")
        columns = (self.label_column,) if isinstance(self.label_column, str) else tuple(self.label_column)
        object.__setattr__(self, "label_column", columns)
        object.__setattr__(self, "labels", _label_files(self.labels))
        if self.classes is not None and self.class_order != "name":
            raise UsageError(
                f"{told('class_order', self.class_order)}: the labels are those of classes (--classes): leave one out"
            )

    def label_file(self, split: str | None) -> str | None:
        """The file with the labels of a split's source, or of one without a split; None where there is none."""
        files = dict(self.labels)
        return files.get(split, files.get(None))

    def check_kind(self, source: str, kind: str) -> None:
        """Raise `UsageError` for an option that is not about this kind of source."""
        if kind == "given" and self.source_format != "auto":
            raise UsageError(f"{told('source_format', self.source_format)}: {source} is {_WORDS[kind]}: leave it out")
        defaults = SourceOptions()
        for name, kinds in _ABOUT.items():
            value = getattr(self, name)
            if self.labels and name in _OF_LABEL_FILES:
                continue
            if value != getattr(defaults, name) and kind not in kinds:
                shown = ", ".join(value) if isinstance(value, tuple) else value
                raise UsageError(
                    f"{told(name, shown)} is about {', '.join(kinds)} sources, and {source} is {_WORDS[kind]}: "
                    "leave it out"
                )


#: Kinds of sources in words.
_WORDS = {
    "folder": "a folder",
    "list": "a .lst file",
    "tar": "a tar",
    "webdataset": "WebDataset shards",
    "zip": "a zip",
    "parquet": "Parquet files",
    "table": "a table",
    "rec": "a .rec file",
    "given": "an iterable",
}


def _label_files(given: Any) -> tuple[tuple[str | None, str], ...]:
    """``labels`` as it may be given, a path, ``NAME=PATH``, several of these, a mapping or pairs, as pairs."""
    items = given.items() if isinstance(given, Mapping) else [given] if isinstance(given, (str, os.PathLike)) else given
    try:
        pairs = [_label_pair(item) for item in items]
    except (TypeError, ValueError):
        raise UsageError(f"labels={given!r} (--labels): a file, or files by the names of their splits") from None
    names = [name for name, _ in pairs]
    for name, path in pairs:
        if names.count(name) > 1:
            of = "all sources" if name is None else f"split {name!r}"
            raise UsageError(f"labels={path} (--labels): another file has the labels of {of} already")
    return tuple(pairs)


def _label_pair(item: Any) -> tuple[str | None, str]:
    if isinstance(item, tuple):
        name, path = item
        return name, os.fspath(path)
    text = os.fspath(item)
    name, equals, path = text.partition("=")
    return (name, path) if equals and "/" not in name and not os.path.exists(text) else (None, text)
