"""Labels by the names of files, from a table or from lines with both."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gpu_pack.errors import SourceError
from gpu_pack.formats.notices import Notice
from gpu_pack.sources.found import Facts, Label
from gpu_pack.sources.source_options import SourceOptions
from gpu_pack.sources.table import Table
from gpu_pack.sources.table_cells import RowLabels, cell_text, read_label
from gpu_pack.sources.table_columns import find_columns
from gpu_pack.sources.tree import IMAGE_SUFFIXES, suffix


class NamedLabels:
    """The labels of one file, all in memory: a million take some 200 MB.

    Attributes:
        file: where they come from, for messages.
        used: names that `find` has found.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.used: set[str] = set()
        self._labels: dict[str, Label | None] = {}
        # Of names with folders: the whole name by its last part; empty where several have that.
        self._whole: dict[str, str] = {}

    def __len__(self) -> int:
        """How many names there are."""
        return len(self._labels)

    def add(self, name: str, label: Label | None, where: str) -> None:
        """Add a row.

        Raises:
            SourceError: its file has another label already.
        """
        name = name.replace("\\", "/").removeprefix("./")
        if not name:
            raise SourceError(f"{where}: no file name")
        if self._labels.setdefault(name, label) != label:
            raise SourceError(f"{where}: {name!r} has another label on an earlier row")
        last = name.rpartition("/")[2]
        if last != name and self._whole.setdefault(last, name) != name:
            self._whole[last] = ""

    def find(self, path: str) -> Label | None:
        """The label of an image: by its path in the source, by its name, or by that without suffix; None without one.

        Raises:
            SourceError: several rows have its name, in other folders.
        """
        inside = path.rpartition("!/")[2]
        last = inside.rpartition("/")[2]
        for each in dict.fromkeys((inside, last, _stem(inside), _stem(last))):
            name = each if each in self._labels else self._whole.get(each)
            if name == "":
                raise SourceError(
                    f"{self.file}: several rows are about {each!r}, in other folders, and {path} is in none"
                )
            if name is not None:
                self.used.add(name)
                return self._labels[name]
        return None

    def unused_example(self) -> str:
        """The first name that was not found; empty without one."""
        return next((name for name in self._labels if name not in self.used), "")


def read_table(file: str, table: Table, options: SourceOptions, facts: Facts) -> NamedLabels:
    """The labels of a table; columns that were guessed are noted in ``facts``.

    Raises:
        SourceError, UsageError: see `gpu_pack.sources.table_columns.find_columns`.
    """
    found, columns = NamedLabels(file), find_columns(table, options)
    if columns.guessed:
        facts.notices.append(Notice("table-columns", 1, str(columns)))
    labels = RowLabels(columns.labels)
    for number, cells in table.rows([columns.path, *columns.labels]):
        where = table.where(number)
        found.add(cell_text(cells[0]) or "", labels.read(cells[1:], where), where)
    return found


def read_pairs(file: str, lines: Iterable[str], pair: re.Pattern[str]) -> NamedLabels:
    """The labels of lines that are a name and a label each.

    Raises:
        SourceError: a line is something else.
    """
    found = NamedLabels(file)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{file}:{number}"
        if (matched := pair.fullmatch(line)) is None:
            raise SourceError(f"{where}: no name of an image and a label, as the first line has")
        try:
            found.add(matched[1], read_label(matched[2]), where)
        except ValueError as error:
            raise SourceError(f"{where}: {error}") from None
    return found


def _stem(name: str) -> str:
    return name.rpartition(".")[0] if suffix(name) in IMAGE_SUFFIXES else name
